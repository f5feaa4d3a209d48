"""``make reproduce``: runs what the claims name, keeps its numbers as small files, and writes docs/results.md."""
