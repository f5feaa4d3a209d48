"""``train.py inspect``: what the trainer would see, as one page, before anything is trained."""
