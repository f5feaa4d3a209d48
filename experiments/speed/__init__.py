"""Speed and memory of training and sampling, compared with TRL where TRL has the same feature."""
