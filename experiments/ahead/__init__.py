"""A rollout ahead of the learner: what it gains, what it costs, with an engine that is simulated."""
