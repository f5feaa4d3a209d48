"""Samples a rollout while an earlier one is learnt from: order, checkpoints, and how long each side waits."""

from lightning_modules.ahead.module import AheadModule

__all__ = ["AheadModule"]
