"""Completions to scores: rule rewards, preference models, functions, and their weighted sum."""

from rewards.answers.equivalence import same_answer
from rewards.answers.worker import ComparisonFailed, MathWorker
from rewards.function_reward import FunctionReward
from rewards.length import OverlongReward
from rewards.preference_model import PreferenceReward
from rewards.reward import Reward, RewardPart, WeightedReward
from rewards.rules import AccuracyReward, FormatReward, extract_answer
from rewards.scaling import Cap, RunningZScore, Scaling, Squash

__all__ = [
    "AccuracyReward",
    "Cap",
    "ComparisonFailed",
    "FormatReward",
    "FunctionReward",
    "MathWorker",
    "OverlongReward",
    "PreferenceReward",
    "Reward",
    "RewardPart",
    "RunningZScore",
    "Scaling",
    "Squash",
    "WeightedReward",
    "extract_answer",
    "same_answer",
]
