"""Gain and cost of sampling a rollout ahead, measured with a simulated engine."""
