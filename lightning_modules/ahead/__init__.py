"""Rollouts that are sampled while earlier ones are learnt from: their turns, their checkpoints, who waits for whom."""

from lightning_modules.ahead.module import AheadModule

__all__ = ["AheadModule"]
