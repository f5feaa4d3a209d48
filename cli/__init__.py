"""The command line: parsing, overlays, callbacks by name, models built on first use, and errors in one line."""
