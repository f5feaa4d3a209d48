"""What a command line sets: config files, overlays, flags, and what is refused before the parser runs."""
