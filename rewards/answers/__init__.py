"""The verifier: is an answer equivalent to the right one."""
