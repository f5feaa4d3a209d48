"""What a part's scores go through before they are weighted: learned scores have no scale of their own.

A preference model's score is unbounded and only its differences mean anything, so that next to rule rewards of
0 and 1 it must be brought to their size, or an answer that pleases outweighs one that is right (R1V2,
arXiv:2504.16656, eq. 7, adds them as they are and reports no scale).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from algorithms.errors import ConfigError

Reduce = Callable[[Tensor], Tensor]


class Scaling:
    """Maps a score to a score. Subclasses with state save it."""

    def observe(self, scores: Sequence[float], reduce: Reduce) -> None:
        """See the scores of a training rollout before they are scaled.

        Args:
            scores: of this rank.
            reduce: adds a tensor up over all ranks; every rank must call it equally often.
        """

    def __call__(self, score: float) -> float:
        """Return the scaled score."""
        raise TypeError(f"{type(self).__name__} must define __call__()")

    def state_dict(self) -> dict[str, Any]:
        """Return what checkpoints keep."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore it."""


class RunningZScore(Scaling):
    """Subtracts the mean and divides by the standard deviation of all scores of the run, this rollout's included."""

    def __init__(self, eps: float = 1e-6) -> None:
        """Start without scores.

        Args:
            eps: added to the standard deviation.
        """
        self.eps = eps
        self.moments = torch.zeros(3, dtype=torch.double)  # count, sum, sum of squares

    def observe(self, scores: Sequence[float], reduce: Reduce) -> None:
        """Add the scores of all ranks."""
        values = torch.tensor(scores, dtype=torch.double)
        sums = torch.stack([torch.tensor(float(len(values)), dtype=torch.double), values.sum(), values.square().sum()])
        self.moments = self.moments + reduce(sums)

    def __call__(self, score: float) -> float:
        """Return the z-score; a score before any was seen stays as it is."""
        count, total, squares = self.moments.tolist()
        if not count:
            return score
        mean = total / count
        return (score - mean) / (math.sqrt(max(0.0, squares / count - mean * mean)) + self.eps)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments."""
        return {"moments": self.moments}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the moments."""
        self.moments = state["moments"]


class Squash(Scaling):
    """sigmoid((score - center) / width): between 0 and 1, steepest at the center."""

    def __init__(self, center: float = 0.0, width: float = 1.0) -> None:
        """Set the curve.

        Args:
            center: score that becomes 0.5.
            width: scores one width above the center become 0.73; in units of the score, above 0.
        """
        if width <= 0.0:
            raise ConfigError(f"scaling width of Squash must be above 0, got {width}: it divides the score.")
        self.center, self.width = center, width

    def __call__(self, score: float) -> float:
        """Return the squashed score."""
        return 0.5 * (1.0 + math.tanh(0.5 * (score - self.center) / self.width))


class Cap(Scaling):
    """min(score, high), and not below ``low``. ``high`` may be moved while training goes on, and is saved."""

    def __init__(self, high: float, low: float | None = None) -> None:
        """Set the bounds.

        Args:
            high: scores above it count as it: no reward for pleasing even more.
            low: scores below it count as it; null: any.
        """
        if low is not None and low >= high:
            raise ConfigError(f"scaling low of Cap must be null or below high = {high}, got {low}.")
        self.high, self.low = high, low

    def __call__(self, score: float) -> float:
        """Return the bounded score."""
        bounded = min(score, self.high)
        return bounded if self.low is None else max(bounded, self.low)

    def move(self, high: float) -> None:
        """Set the upper bound; the next scores are bounded by it."""
        self.high = high

    def state_dict(self) -> dict[str, Any]:
        """Return the threshold."""
        return {"high": self.high}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the threshold."""
        self.high = state["high"]
