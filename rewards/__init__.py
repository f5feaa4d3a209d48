"""From completions to scores: rule rewards, preference models, functions, and their weighted sum."""

from rewards.answers import Question, Reason, Verifier, gold_problem
from rewards.function_reward import FunctionReward
from rewards.length import OverlongReward
from rewards.outcomes import ReasonedScore
from rewards.preference_model import PreferenceReward
from rewards.reward import Reward, RewardPart, WeightedReward
from rewards.rules import AccuracyReward, FormatReward
from rewards.scaling import Cap, RunningZScore, Scaling, Squash

__all__ = [
    "AccuracyReward",
    "Cap",
    "FormatReward",
    "FunctionReward",
    "OverlongReward",
    "PreferenceReward",
    "Question",
    "Reason",
    "ReasonedScore",
    "Reward",
    "RewardPart",
    "RunningZScore",
    "Scaling",
    "Squash",
    "Verifier",
    "WeightedReward",
    "gold_problem",
]
