"""Prompts to completions: what an engine promises, three engines, and one rollout phase."""

from rollouts.collector import RolloutPhase, collect
from rollouts.dropout_ntp import dropout_ntp_pairs
from rollouts.engine import EngineError, RolloutEngine, SamplingConfig
from rollouts.ranks import gather_ranks, own_place, own_state
from rollouts.transformers_engine import TransformersEngine
from rollouts.vllm_engine import VLLMEngine
from rollouts.vllm_server_engine import VLLMServerEngine
from rollouts.vllm_settings import VLLMSettings

__all__ = [
    "EngineError",
    "RolloutEngine",
    "RolloutPhase",
    "SamplingConfig",
    "TransformersEngine",
    "VLLMEngine",
    "VLLMServerEngine",
    "VLLMSettings",
    "collect",
    "dropout_ntp_pairs",
    "gather_ranks",
    "own_place",
    "own_state",
]
