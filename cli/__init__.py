"""The command line: parsing, callbacks by name, models built on first use, and errors in one line."""
