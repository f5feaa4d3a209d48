"""How weights get into vLLM other than one by one in the place of the old ones; docs/scaling.md compares the ways."""
