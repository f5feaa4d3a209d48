"""The whole evaluation in the tiny world: a tiny policy, three small benchmarks, a real server and a real harness."""
