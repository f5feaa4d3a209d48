"""The settings of a command line: config files, overlays and flags, checked before the parser runs."""
