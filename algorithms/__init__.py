"""The mathematics of the recipe: pure functions and records of tensors, without Lightning and without files."""

from algorithms.chance import position_generator, position_seed
from algorithms.errors import ConfigError, DataError, PromptError, check_at_least
from algorithms.experience_batch import ExperienceBatch, stack_completions
from algorithms.grpo.advantages import AdvantageConfig, effective_groups, group_relative_advantages
from algorithms.grpo.averages import StepSize
from algorithms.grpo.config import GRPOConfig
from algorithms.grpo.loss import GRPOOutput, engine_weights, grpo_loss
from algorithms.grpo.overlong import overlong_penalty
from algorithms.logprobs import HeadShape, TokenScores, head_logits, shape_logits, token_scores
from algorithms.pass_rates import pass_at_k
from algorithms.preferences.bradley_terry import (
    ReliabilityCurve,
    bradley_terry_loss,
    expected_calibration_error,
    pair_accuracy,
    reliability_curve,
)
from algorithms.preferences.mixed_preference import MPOConfig, MPOOutput, implicit_rewards, mpo_loss
from algorithms.preferences.pairs import PairSelection, group_pairs, select_pairs
from algorithms.preferences.reward_shift import RewardShift
from algorithms.records import (
    Claim,
    Completion,
    FinishReason,
    ImageReference,
    PairTicket,
    PreferencePair,
    Prompt,
    RewardTable,
    RolloutGroup,
    Ticket,
)
from algorithms.replay.buffer import SelectiveSampleBuffer
from algorithms.replay.config import BufferConfig
from algorithms.replay.placement import placed_in_time

__all__ = [
    "AdvantageConfig",
    "BufferConfig",
    "Claim",
    "Completion",
    "ConfigError",
    "DataError",
    "ExperienceBatch",
    "FinishReason",
    "GRPOConfig",
    "GRPOOutput",
    "HeadShape",
    "ImageReference",
    "MPOConfig",
    "MPOOutput",
    "PairSelection",
    "PairTicket",
    "PreferencePair",
    "Prompt",
    "PromptError",
    "ReliabilityCurve",
    "RewardShift",
    "RewardTable",
    "RolloutGroup",
    "SelectiveSampleBuffer",
    "StepSize",
    "Ticket",
    "TokenScores",
    "bradley_terry_loss",
    "check_at_least",
    "effective_groups",
    "engine_weights",
    "expected_calibration_error",
    "group_pairs",
    "group_relative_advantages",
    "grpo_loss",
    "head_logits",
    "implicit_rewards",
    "mpo_loss",
    "overlong_penalty",
    "pair_accuracy",
    "pass_at_k",
    "placed_in_time",
    "position_generator",
    "position_seed",
    "reliability_curve",
    "select_pairs",
    "shape_logits",
    "stack_completions",
    "token_scores",
]
