"""``make reproduce``: runs the arms of all claims, stores their numbers as small files, and writes docs/results.md."""
