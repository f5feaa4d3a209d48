"""The preference reward model: a vision-language model with one number in place of words."""

from models.reward_model.model import RewardModel
from models.reward_model.sources import FreshRewardModel, PretrainedRewardModel, RewardModelSource
from models.reward_model.value_head import HEAD_FILE

__all__ = ["HEAD_FILE", "FreshRewardModel", "PretrainedRewardModel", "RewardModel", "RewardModelSource"]
