"""Prompts to completions: what an engine promises, the embedded engine, and one rollout phase."""

from rollouts.collector import RolloutPhase, collect
from rollouts.dropout_ntp import dropout_ntp_pairs
from rollouts.engine import RolloutEngine, SamplingConfig
from rollouts.ranks import gather_ranks, own_place, own_state
from rollouts.transformers_engine import TransformersEngine

__all__ = [
    "RolloutEngine",
    "RolloutPhase",
    "SamplingConfig",
    "TransformersEngine",
    "collect",
    "dropout_ntp_pairs",
    "gather_ranks",
    "own_place",
    "own_state",
]
