"""What stands between a vLLM server and whoever reaches its port; docs/security.md has the whole picture."""
