"""Speed and memory, against TRL where it has the same."""
