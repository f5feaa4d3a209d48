"""The pages of ``--help``: one overview, and one page for each section of a config."""
