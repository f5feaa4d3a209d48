"""Completions to scores: rule rewards, their weighted sum, and the comparison of answers behind them."""

from rewards.equivalence import same_answer
from rewards.math_worker import ComparisonFailed, MathWorker
from rewards.preference_model import PreferenceReward
from rewards.reward import Reward, RewardPart, RewardTable, WeightedReward
from rewards.rules import AccuracyReward, FormatReward, extract_answer

__all__ = [
    "AccuracyReward",
    "ComparisonFailed",
    "FormatReward",
    "MathWorker",
    "PreferenceReward",
    "Reward",
    "RewardPart",
    "RewardTable",
    "WeightedReward",
    "extract_answer",
    "same_answer",
]
