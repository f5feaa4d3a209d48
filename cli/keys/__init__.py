"""The keys that a config may have, found in the classes that it chooses: for error messages and for help."""
