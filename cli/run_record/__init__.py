"""Gives every run a folder of its own with a meaningful name, and a record of its settings and results."""
