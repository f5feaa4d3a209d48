"""The mathematics of the recipe: pure functions and records of tensors, nothing of Lightning or files."""

from algorithms.advantages import effective_groups, group_relative_advantages
from algorithms.bradley_terry import (
    ReliabilityCurve,
    bradley_terry_loss,
    expected_calibration_error,
    pair_accuracy,
    reliability_curve,
)
from algorithms.buffer_config import BufferConfig
from algorithms.chance import position_generator, position_seed
from algorithms.claims import Claim, ClaimGrammar, find_claims
from algorithms.errors import ConfigError, DataError
from algorithms.experience_batch import ExperienceBatch, stack_rollouts
from algorithms.grpo import GRPOOutput, engine_weights, grpo_loss
from algorithms.grpo_config import AdvantageConfig, GRPOConfig
from algorithms.logprobs import TokenScores, shape_logits, token_scores
from algorithms.mixed_preference import MPOConfig, MPOOutput, RewardShift, implicit_rewards, mpo_loss
from algorithms.overlong import overlong_penalty
from algorithms.pass_rates import pass_at_k
from algorithms.preference_pairs import PairSelection, group_pairs, select_pairs
from algorithms.records import (
    Completion,
    FinishReason,
    ImageReference,
    PreferencePair,
    Prompt,
    Rollout,
    RolloutGroup,
)
from algorithms.selective_buffer import SelectiveSampleBuffer
from algorithms.signals import Signal, SignalBoard, check_signals
from algorithms.surrogates import StepSize

__all__ = [
    "AdvantageConfig",
    "BufferConfig",
    "Claim",
    "ClaimGrammar",
    "Completion",
    "ConfigError",
    "DataError",
    "ExperienceBatch",
    "FinishReason",
    "GRPOConfig",
    "GRPOOutput",
    "ImageReference",
    "MPOConfig",
    "MPOOutput",
    "PairSelection",
    "PreferencePair",
    "Prompt",
    "ReliabilityCurve",
    "RewardShift",
    "Rollout",
    "RolloutGroup",
    "SelectiveSampleBuffer",
    "Signal",
    "SignalBoard",
    "StepSize",
    "TokenScores",
    "bradley_terry_loss",
    "check_signals",
    "effective_groups",
    "engine_weights",
    "expected_calibration_error",
    "find_claims",
    "group_pairs",
    "group_relative_advantages",
    "grpo_loss",
    "implicit_rewards",
    "mpo_loss",
    "overlong_penalty",
    "pair_accuracy",
    "pass_at_k",
    "position_generator",
    "position_seed",
    "reliability_curve",
    "select_pairs",
    "shape_logits",
    "stack_rollouts",
    "token_scores",
]
