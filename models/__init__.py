"""The policy as three parts, and where policies come from."""

from models.assembly import Tiling
from models.export import save_pretrained
from models.lora import LoRAConfig, add_lora, lora_apart, lora_off
from models.policy import Policy
from models.reading.word_embeddings import word_embeddings
from models.reward_model import FreshRewardModel, PretrainedRewardModel, RewardModel, RewardModelSource
from models.sharding import Sharding, is_sharded, largest_over_ranks, same_on_all_ranks, shard, whole_weights
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
    "Tiling",
    "TinyLanguageModel",
    "TinyVisionTower",
    "add_lora",
    "build_policy",
    "is_sharded",
    "largest_over_ranks",
    "lora_apart",
    "lora_off",
    "same_on_all_ranks",
    "save_pretrained",
    "shard",
    "stream_weights",
    "whole_weights",
    "word_embeddings",
]
