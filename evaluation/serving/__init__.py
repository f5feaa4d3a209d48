"""The policy as a server: exported, started, watched, ended."""
