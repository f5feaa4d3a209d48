"""``train.py new``: a small config of a user's own, written after a look at the data and the model."""
