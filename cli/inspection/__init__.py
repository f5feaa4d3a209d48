"""``train.py inspect``: a page with the data as the trainer would see it, before training."""
