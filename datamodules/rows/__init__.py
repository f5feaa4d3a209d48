"""Rows of files: reads them, checks them, and records rejected rows."""
