"""Training of a preference reward model, its metrics and their figure."""

from lightning_modules.reward_model.module import RewardModelModule

__all__ = ["RewardModelModule"]
