"""A whole evaluation in the tiny world: a tiny policy, three small benchmarks, a real server, a real harness."""
