"""``train.py sweep``: one config with several overlays and seeds, as ordinary ``fit`` runs of their own."""
