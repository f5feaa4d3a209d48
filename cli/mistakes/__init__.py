"""Checks for mistakes of users on the command line, each with a sentence that explains it."""
