"""The policy as three parts, and where policies come from."""

from models.lora import LoRAConfig, add_lora, lora_merged, lora_off
from models.policy import Policy
from models.reward_model import FreshRewardModel, PretrainedRewardModel, RewardModel, RewardModelSource
from models.sharding import Sharding, is_sharded, whole_weights
from models.sources import (
    AssembledPolicy,
    PolicySource,
    PretrainedPolicy,
    TinyLanguageModel,
    TinyVisionTower,
    build_policy,
)
from models.weight_stream import stream_weights

__all__ = [
    "AssembledPolicy",
    "FreshRewardModel",
    "LoRAConfig",
    "Policy",
    "PolicySource",
    "PretrainedPolicy",
    "PretrainedRewardModel",
    "RewardModel",
    "RewardModelSource",
    "Sharding",
    "TinyLanguageModel",
    "TinyVisionTower",
    "add_lora",
    "build_policy",
    "is_sharded",
    "lora_merged",
    "lora_off",
    "stream_weights",
    "whole_weights",
]
