"""Scalings of a reward part's scores, applied before they are weighted.

The score of a preference model is unbounded, and only differences between scores have a meaning. Rule rewards are 0 or
1. A preference score must be brought to that size, or a completion with a high preference score gets more reward than a
right one.

Differs from the paper (R1V2, arXiv:2504.16656, eq. 7), which adds the scores as they are and reports no scale.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from algorithms.errors import ConfigError

Reduce = Callable[[Tensor], Tensor]


class Scaling:
    """Maps a score to a score. Subclasses with state return it in ``state_dict``."""

    def observe(self, scores: Sequence[float], reduce: Reduce) -> None:
        """Update the state with the scores of a training rollout, before these are scaled.

        Args:
            scores: the scores of this rank.
            reduce: adds a tensor up over all ranks; every rank must call it equally often.
        """

    def __call__(self, score: float) -> float:
        """Return the scaled score."""
        raise TypeError(f"{type(self).__name__} must define __call__()")

    def state_dict(self) -> dict[str, Any]:
        """Return the state for checkpoints."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state."""


class RunningZScore(Scaling):
    """Subtracts the mean and divides by the standard deviation of all scores of the run, this rollout's included."""

    def __init__(self, eps: float = 1e-6) -> None:
        """Start without scores.

        Args:
            eps: added to the standard deviation.
        """
        self.eps = eps
        # (3,): count, sum, sum of squares. In 64 bits, because they grow over the whole run.
        self.moments = torch.zeros(3, dtype=torch.double)

    def observe(self, scores: Sequence[float], reduce: Reduce) -> None:
        """Add the scores of all ranks."""
        values = torch.tensor(scores, dtype=torch.double)  # of this rank, perhaps empty
        # Counts and sums can be added up over ranks; means and deviations cannot.
        sums = torch.stack([torch.tensor(float(len(values)), dtype=torch.double), values.sum(), values.square().sum()])
        self.moments = self.moments + reduce(sums)

    def __call__(self, score: float) -> float:
        """Return the z-score; without any observed score, the score as it is."""
        count, total, squares = self.moments.tolist()
        if not count:
            return score
        mean = total / count
        # Rounding can make the difference of two large numbers negative.
        return (score - mean) / (math.sqrt(max(0.0, squares / count - mean * mean)) + self.eps)

    def state_dict(self) -> dict[str, Any]:
        """Return the moments."""
        return {"moments": self.moments}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the moments."""
        self.moments = state["moments"]


class Squash(Scaling):
    """sigmoid((score - center) / width): between 0 and 1, with the largest slope at the center."""

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
        # sigmoid(x) = (1 + tanh(x / 2)) / 2; tanh does not overflow for any score.
        return 0.5 * (1.0 + math.tanh(0.5 * (score - self.center) / self.width))


class Cap(Scaling):
    """Bounds a score by ``high`` and, if given, by ``low``. A calibrator may move ``high``, so it is saved."""

    def __init__(self, high: float, low: float | None = None) -> None:
        """Set the bounds.

        Args:
            high: larger scores become ``high``, so that a completion gains nothing from a still larger score.
            low: smaller scores become ``low``; null: no lower bound.
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
        """Return the upper bound."""
        return {"high": self.high}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the upper bound."""
        self.high = state["high"]
