"""The preference reward model: a vision-language model that returns one number instead of words."""

from models.reward_model.model import RewardModel
from models.reward_model.sources import FreshRewardModel, PretrainedRewardModel, RewardModelSource
from models.reward_model.value_head import HEAD_FILE

__all__ = ["HEAD_FILE", "FreshRewardModel", "PretrainedRewardModel", "RewardModel", "RewardModelSource"]
