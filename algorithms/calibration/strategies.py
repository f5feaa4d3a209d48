"""Decisions of a reward-threshold calibrator, as pure functions of what was seen.

R1V2 (arXiv:2504.16656) says that too strong a reinforcement signal induces visual hallucination and that reward
thresholds are calibrated for it, and gives no mechanism. Everything here is this project's own choice.

A threshold is described by how it acts: ``stricter`` is the direction in which the preference reward gets less
influence: down for a cap or a weight, up for the margin tau of preference pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from algorithms.errors import ConfigError


class Reading(NamedTuple):
    """What was seen at one moment."""

    step: int
    rate: float
    """The monitored rate, such as the hallucination rate."""

    reward: float
    """Mean score of the reward that the threshold bounds, since the reading before."""


class Evidence(NamedTuple):
    """All that a decision may look at."""

    readings: Sequence[Reading]
    """Oldest first; the last is the one to act on."""

    scores: Sequence[float] = ()
    """Newest scores of the reward that the threshold bounds."""


class Decision(NamedTuple):
    """The threshold from now on, and why."""

    threshold: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Where a threshold may go."""

    low: float
    """Smallest threshold."""

    high: float
    """Largest threshold."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ConfigError(f"bounds of a threshold need low < high, got {self.low} and {self.high}.")

    def clamp(self, threshold: float) -> float:
        """Return the nearest allowed threshold."""
        return min(max(threshold, self.low), self.high)


class ThresholdStrategy:
    """How a threshold follows the evidence. ``sign`` is +1 where a larger threshold is stricter, else -1."""

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the next threshold."""
        raise TypeError(f"{type(self).__name__} must define decide()")


@dataclass(frozen=True, kw_only=True)
class FixedThreshold(ThresholdStrategy):
    """Always the same."""

    value: float
    """The threshold."""

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return it."""
        del present, evidence, sign
        return Decision(self.value, f"fixed at {self.value:g}")


@dataclass(frozen=True, kw_only=True)
class ScheduledThreshold(ThresholdStrategy):
    """From one value to another along a straight line."""

    start: float
    """Threshold until ``start_step``."""

    end: float
    """Threshold from ``end_step`` on."""

    start_step: int = 0
    """Optimizer step at which it begins to move."""

    end_step: int
    """Optimizer step at which it has arrived, above ``start_step``."""

    def __post_init__(self) -> None:
        if self.end_step <= self.start_step:
            raise ConfigError(
                f"strategy.end_step must be above start_step = {self.start_step}, got {self.end_step}: the threshold "
                "moves in between."
            )

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the point on the line."""
        del present, sign
        step = evidence.readings[-1].step
        share = min(1.0, max(0.0, (step - self.start_step) / (self.end_step - self.start_step)))
        return Decision(
            self.start + share * (self.end - self.start), f"schedule, {share:.0%} of the way at step {step}"
        )


@dataclass(frozen=True, kw_only=True)
class QuantileThreshold(ThresholdStrategy):
    """A quantile of the newest scores: keeps the share of scores beyond the threshold constant as they drift."""

    quantile: float
    """Share of scores below the threshold, in [0, 1]."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.quantile <= 1.0:
            raise ConfigError(f"strategy.quantile must lie in [0, 1], got {self.quantile}: it is a share of scores.")

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the quantile, linear between scores; the present threshold without any."""
        del sign
        if not evidence.scores:
            return Decision(present, "no scores yet")
        ordered = sorted(evidence.scores)
        place = self.quantile * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        value = ordered[below] + (place - below) * (ordered[above] - ordered[below])
        return Decision(value, f"{self.quantile:.0%} quantile of {len(ordered)} scores")


@dataclass(frozen=True, kw_only=True)
class TargetRate(ThresholdStrategy):
    """Steps towards the stricter end while the rate is above the target, back while it is below; nothing in a band."""

    target: float
    """Rate to hold, a share."""

    band: float = 0.01
    """Half width of the band around the target in which nothing happens: hysteresis against noise."""

    step: float
    """Size of a step towards the stricter end, in units of the threshold, above 0."""

    recovery: float = 0.5
    """Size of a step back, as a share of ``step``: trust is lost faster than it is won."""

    bounds: Bounds
    """Where the threshold may go."""

    def __post_init__(self) -> None:
        if self.step <= 0.0 or not 0.0 <= self.recovery <= 1.0 or self.band < 0.0:
            raise ConfigError(
                f"strategy needs step > 0, band >= 0 and recovery in [0, 1], got {self.step}, {self.band} and "
                f"{self.recovery}."
            )

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the threshold a step further, or as it is."""
        rate = evidence.readings[-1].rate
        if rate > self.target + self.band:
            return Decision(
                self.bounds.clamp(present + sign * self.step),
                f"rate {rate:.1%} is above {self.target:.1%} + {self.band:.1%}: stricter",
            )
        if rate < self.target - self.band:
            return Decision(
                self.bounds.clamp(present - sign * self.step * self.recovery),
                f"rate {rate:.1%} is below {self.target:.1%} - {self.band:.1%}: looser",
            )
        return Decision(present, f"rate {rate:.1%} is within {self.band:.1%} of {self.target:.1%}")


@dataclass(frozen=True, kw_only=True)
class BackOff(ThresholdStrategy):
    """Stricter when the rate rises while the reward rises, the signature of reward hacking; slowly back otherwise."""

    window: int = 2
    """Readings to look back."""

    rise: float = 0.01
    """Rise of the rate within the window that counts, a share."""

    step: float
    """Size of a step towards the stricter end, in units of the threshold, above 0."""

    recovery: float = 0.1
    """Size of a step back, as a share of ``step``."""

    bounds: Bounds
    """Where the threshold may go."""

    def __post_init__(self) -> None:
        for key in ("window", "step"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"strategy.{key} must be above 0, got {getattr(self, key)}.")

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Compare the newest reading with the one ``window`` readings before."""
        if len(evidence.readings) <= self.window:
            return Decision(present, f"fewer than {self.window + 1} readings")
        before, now = evidence.readings[-1 - self.window], evidence.readings[-1]
        told = f"rate {before.rate:.1%} -> {now.rate:.1%}, reward {before.reward:.3g} -> {now.reward:.3g}"
        if now.rate - before.rate >= self.rise and now.reward > before.reward:
            return Decision(self.bounds.clamp(present + sign * self.step), f"{told}: both rise, back off")
        return Decision(self.bounds.clamp(present - sign * self.step * self.recovery), f"{told}: no hacking, recover")
