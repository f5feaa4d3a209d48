"""Ways to get weights into vLLM besides replacing tensors one by one; docs/scaling.md compares all ways."""
