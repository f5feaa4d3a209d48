"""``train.py new``: writes a small config for a user's data and model, after examining both."""
