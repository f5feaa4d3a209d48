"""Protects a vLLM server from everyone who can reach its port; docs/security.md explains the whole design."""
