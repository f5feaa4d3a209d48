"""Runs evalscope from outside: its task, its process, and the texts of its prompts."""
