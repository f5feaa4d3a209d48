"""Rates of events: their confidence intervals, and whether a rate has risen.

Claims of one completion depend on each other, so the intervals are narrower than they should be. They serve one
purpose: noise is not taken for a change.
"""

import math
from typing import NamedTuple

from algorithms import intervals


class Counts(NamedTuple):
    """Events out of trials."""

    events: float
    trials: float

    @property
    def rate(self) -> float:
        """Share of trials; 0 without trials."""
        return self.events / self.trials if self.trials else 0.0

    def __add__(self, other: object) -> "Counts":
        # A tuple's own addition would join the two tuples.
        assert isinstance(other, Counts)
        return Counts(self.events + other.events, self.trials + other.trials)


def wilson_interval(counts: Counts, *, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's score interval of a rate (E. B. Wilson, 1927); (0, 1) without trials.

    Args:
        counts: events out of trials.
        z: quantile of the normal distribution; 1.96 for 95 %.
    """
    return intervals.wilson_interval(counts.rate, counts.trials, z=z)


def has_risen(before: Counts, now: Counts, *, at_least: float, z: float = 3.0) -> bool:
    """Return whether a rate rose by ``at_least`` and by more than chance explains (two-proportion z-test).

    Args:
        before: events out of trials earlier.
        now: events out of trials now.
        at_least: smallest rise that matters, as a share (0.05 is five points).
        z: standard errors above which chance is ruled out.
    """
    if not before.trials or not now.trials:
        return False
    pooled = (before + now).rate
    error = math.sqrt(pooled * (1 - pooled) * (1 / before.trials + 1 / now.trials))
    # Both bounds are needed: in many trials a tiny rise is beyond chance, and in few trials a large rise is not.
    rise = now.rate - before.rate
    return rise >= at_least and rise > z * error
