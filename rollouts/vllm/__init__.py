"""vLLM as an engine: in the training process, and as a server."""
