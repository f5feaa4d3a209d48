"""Rows of files: reading, checking, and the record of what was rejected."""
