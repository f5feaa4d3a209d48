"""Finds the keys that a config may have, from the classes that it chooses, for error messages and for help."""
