"""Strategies that follow the monitored rate: stricter when it is too high or rises, and back otherwise.

A rate is measured on a number of claims, so it is noisy. The rate of few claims is hardly evidence, and the rate of no
claims is 0 by definition. So a threshold moves only when there are enough claims, and when their number makes it
unlikely that the difference is chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from algorithms.calibration.strategy import Decision, Evidence, Reading, ThresholdStrategy
from algorithms.errors import ConfigError, check_at_least
from algorithms.intervals import wilson_interval


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The interval of allowed thresholds."""

    low: float
    """Smallest threshold."""

    high: float
    """Largest threshold."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ConfigError(f"strategy.bounds.low must be below high = {self.high}, got {self.low}.")

    def check(self, name: str, threshold: float) -> None:
        """Refuse a threshold outside of the bounds. It is not moved to the nearest bound, which may be the looser one.

        Raises:
            ConfigError: names the threshold and both bounds.
        """
        if not self.low <= threshold <= self.high:
            raise ConfigError(
                f"{name} is {threshold:g}, outside of strategy.bounds from {self.low:g} to {self.high:g}: from there "
                "the first step towards stricter could make it looser. Start inside, or widen the bounds."
            )

    def clamp(self, threshold: float) -> float:
        """Return the nearest allowed threshold."""
        return min(max(threshold, self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class TargetRate(ThresholdStrategy):
    """Makes the threshold stricter while the rate is above the target, looser while the rate is below it."""

    target: float
    """Rate to hold, a share."""

    band: float = 0.01
    """Half width of the band around the target. The threshold moves when the rate's whole confidence interval
    (Wilson's, from the number of claims) lies outside of the band."""

    step: float
    """Size of a step towards the stricter end, in units of the threshold, above 0."""

    recovery: float = 0.5
    """Size of a step back, as a share of ``step``. Below 1 the threshold gets stricter faster than looser."""

    min_claims: int = 10
    """Claims that a reading must rest on, at least; own choice. With fewer the threshold stays."""

    z: float = 1.96
    """Standard errors by which a reading must differ for the threshold to move: 1.96 lets chance alone move it at most
    one time in twenty. That counts claims as independent; those of one completion are not quite, so 3 is safer."""

    bounds: Bounds
    """Interval that the threshold never leaves."""

    def __post_init__(self) -> None:
        _check_evidence_settings(self.min_claims, self.z)
        if self.step <= 0.0:
            raise ConfigError(f"strategy.step must be above 0, got {self.step}: the threshold could never move.")
        # Above 1 a step back would be larger than a step towards the stricter end.
        if not 0.0 <= self.recovery <= 1.0:
            raise ConfigError(f"strategy.recovery must lie in [0, 1], got {self.recovery}: it is a share of step.")
        check_at_least("strategy.band", self.band, 0, "it is a distance from the target")

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the threshold one step further, or unchanged."""
        self.bounds.check("the threshold", present)
        reading = evidence.readings[-1]
        if lack := _lack_of(self.min_claims, [reading]):
            return Decision(present, lack, lacks_evidence=True)
        low, high = wilson_interval(reading.rate, reading.trials, z=self.z)
        rate = _in_words(reading.rate, low, high)
        # Clamped: a rate that stays above the target would otherwise move the threshold on and on.
        if low > self.target + self.band:
            return Decision(
                self.bounds.clamp(present + sign * self.step),
                f"rate {rate} is above {self.target:.1%} + {self.band:.1%}: stricter",
            )
        if high < self.target - self.band:
            return Decision(
                self.bounds.clamp(present - sign * self.step * self.recovery),
                f"rate {rate} is below {self.target:.1%} - {self.band:.1%}: looser",
            )
        # Also where the rate is exactly on the edge of the band.
        return Decision(present, f"rate {rate} may be within {self.band:.1%} of {self.target:.1%}")

    def check_start(self, name: str, start: float) -> None:
        """Refuse a start outside of the bounds."""
        self.bounds.check(name, start)


@dataclass(frozen=True, kw_only=True)
class BackOff(ThresholdStrategy):
    """Makes the threshold stricter when rate and reward rise together (reward hacking), and slowly looser otherwise."""

    window: int = 2
    """Number of readings to look back."""

    rise: float = 0.01
    """Smallest rise of the rate within the window that counts as one, a share."""

    step: float
    """Size of a step towards the stricter end, in units of the threshold, above 0."""

    recovery: float = 0.1
    """Size of a step back, as a share of ``step``."""

    min_claims: int = 10
    """Claims that a reading must rest on, at least; own choice. With fewer the threshold stays."""

    z: float = 1.96
    """Standard errors by which a reading must differ for the threshold to move: 1.96 lets chance alone move it at most
    one time in twenty. That counts claims as independent; those of one completion are not quite, so 3 is safer."""

    bounds: Bounds
    """Interval that the threshold never leaves."""

    def __post_init__(self) -> None:
        _check_evidence_settings(self.min_claims, self.z)
        # With a window of 0 the newest reading would be compared with itself.
        check_at_least("strategy.window", self.window, 1, "a rise needs an earlier reading")
        if self.step <= 0.0:
            raise ConfigError(f"strategy.step must be above 0, got {self.step}: the threshold could never move.")

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the next threshold, from the newest reading and the one ``window`` readings before it."""
        self.bounds.check("the threshold", present)
        if len(evidence.readings) <= self.window:
            return Decision(present, f"fewer than {self.window + 1} readings")
        before, now = evidence.readings[-1 - self.window], evidence.readings[-1]
        if lack := _lack_of(self.min_claims, [before, now]):
            return Decision(present, lack, lacks_evidence=True)
        change = f"rate {before.rate:.1%} -> {now.rate:.1%}, reward {before.reward:.3g} -> {now.reward:.3g}"
        # Both must rise: where the reward falls, it cannot be what makes the rate rise.
        is_rise = now.rate - before.rate >= max(self.rise, self.z * _error_of_change(before, now))
        if is_rise and now.reward > before.reward:
            return Decision(self.bounds.clamp(present + sign * self.step), f"{change}: both rise, back off")
        return Decision(self.bounds.clamp(present - sign * self.step * self.recovery), f"{change}: no hacking, recover")

    def check_start(self, name: str, start: float) -> None:
        """Refuse a start outside of the bounds."""
        self.bounds.check(name, start)


def _check_evidence_settings(min_claims: int, z: float) -> None:
    check_at_least("strategy.min_claims", min_claims, 1, "a rate of no claims is 0 and says nothing")
    check_at_least("strategy.z", z, 0, "it is a number of standard errors")


def _lack_of(min_claims: int, readings: Sequence[Reading]) -> str:
    """Return why these readings are no evidence; an empty text when they are evidence."""
    if not all(math.isfinite(reading.rate) for reading in readings):
        return f"rate {readings[-1].rate} is no number: no evidence"
    fewest = min(reading.trials for reading in readings)
    return f"{fewest:g} claims are fewer than {min_claims}: no evidence" if not fewest >= min_claims else ""


def _in_words(rate: float, low: float, high: float) -> str:
    return f"{rate:.1%}" if low == high else f"{rate:.1%} ({low:.1%} to {high:.1%})"


def _error_of_change(before: Reading, now: Reading) -> float:
    """Return the standard error of the difference of two rates."""
    return math.sqrt(sum(each.rate * (1 - each.rate) / each.trials for each in (before, now)))
