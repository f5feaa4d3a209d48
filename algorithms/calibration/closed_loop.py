"""Strategies that follow the monitored rate: stricter when it is too high or rises, and back otherwise."""

from dataclasses import dataclass

from algorithms.calibration.strategy import Decision, Evidence, ThresholdStrategy
from algorithms.errors import ConfigError, check_at_least


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

    def clamp(self, threshold: float) -> float:
        """Return the nearest allowed threshold."""
        return min(max(threshold, self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class TargetRate(ThresholdStrategy):
    """Stricter while the rate is above the target, looser while it is below, unchanged in a band around it."""

    target: float
    """Rate to hold, a share."""

    band: float = 0.01
    """Half width of the band around the target in which the threshold stays: noise must not move it."""

    step: float
    """Size of a step towards the stricter end, in units of the threshold, above 0."""

    recovery: float = 0.5
    """Size of a step back, as a share of ``step``. Below 1 the threshold gets stricter faster than looser."""

    bounds: Bounds
    """Interval that the threshold never leaves."""

    def __post_init__(self) -> None:
        if self.step <= 0.0:
            raise ConfigError(f"strategy.step must be above 0, got {self.step}: the threshold could never move.")
        # Above 1 a step back would be larger than a step towards the stricter end.
        if not 0.0 <= self.recovery <= 1.0:
            raise ConfigError(f"strategy.recovery must lie in [0, 1], got {self.recovery}: it is a share of step.")
        check_at_least("strategy.band", self.band, 0, "it is a distance from the target")

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the threshold one step further, or unchanged."""
        rate = evidence.readings[-1].rate
        # Clamped: a rate that stays above the target would otherwise move the threshold on and on.
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
        # Also where the rate is exactly on the edge of the band.
        return Decision(present, f"rate {rate:.1%} is within {self.band:.1%} of {self.target:.1%}")


@dataclass(frozen=True, kw_only=True)
class BackOff(ThresholdStrategy):
    """Stricter when the rate and the reward rise together, the sign of reward hacking; slowly back otherwise."""

    window: int = 2
    """Number of readings to look back."""

    rise: float = 0.01
    """Smallest rise of the rate within the window that counts as one, a share."""

    step: float
    """Size of a step towards the stricter end, in units of the threshold, above 0."""

    recovery: float = 0.1
    """Size of a step back, as a share of ``step``."""

    bounds: Bounds
    """Interval that the threshold never leaves."""

    def __post_init__(self) -> None:
        # With a window of 0 the newest reading would be compared with itself.
        check_at_least("strategy.window", self.window, 1, "a rise needs an earlier reading")
        if self.step <= 0.0:
            raise ConfigError(f"strategy.step must be above 0, got {self.step}: the threshold could never move.")

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Compare the newest reading with the one ``window`` readings before."""
        if len(evidence.readings) <= self.window:
            return Decision(present, f"fewer than {self.window + 1} readings")
        before, now = evidence.readings[-1 - self.window], evidence.readings[-1]
        change = f"rate {before.rate:.1%} -> {now.rate:.1%}, reward {before.reward:.3g} -> {now.reward:.3g}"
        # Both must rise: where the reward falls, it cannot be what makes the rate rise.
        if now.rate - before.rate >= self.rise and now.reward > before.reward:
            return Decision(self.bounds.clamp(present + sign * self.step), f"{change}: both rise, back off")
        return Decision(self.bounds.clamp(present - sign * self.step * self.recovery), f"{change}: no hacking, recover")
