"""Serves a policy: exports it, and starts, watches and ends its server."""
