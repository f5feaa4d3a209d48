"""From prompts to completions: the contract of engines, three engines, and the scored rollout phase."""

from rollouts.background import BackgroundCall
from rollouts.dropout_ntp import dropout_ntp_pairs
from rollouts.embedded.engine import TransformersEngine
from rollouts.engine import EngineError, RolloutEngine, Sampled, SamplingConfig
from rollouts.phase import RolloutPhase
from rollouts.policy_view import SampledPolicy
from rollouts.ranks import gather_ranks, rank_and_world_size, state_of_rank
from rollouts.vllm.engine import VLLMEngine
from rollouts.vllm.server_engine import VLLMServerEngine
from rollouts.vllm.settings import VLLMSettings

__all__ = [
    "BackgroundCall",
    "EngineError",
    "RolloutEngine",
    "RolloutPhase",
    "Sampled",
    "SampledPolicy",
    "SamplingConfig",
    "TransformersEngine",
    "VLLMEngine",
    "VLLMServerEngine",
    "VLLMSettings",
    "dropout_ntp_pairs",
    "gather_ranks",
    "rank_and_world_size",
    "state_of_rank",
]
