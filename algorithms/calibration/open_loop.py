"""Strategies that do not look at the monitored rate: a constant, a schedule, a quantile of scores."""

from dataclasses import dataclass

from algorithms.calibration.strategy import Decision, Evidence, ThresholdStrategy
from algorithms.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FixedThreshold(ThresholdStrategy):
    """Always the same threshold."""

    value: float
    """The threshold."""

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the fixed value."""
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
    """Optimizer step at which the threshold begins to move."""

    end_step: int
    """Optimizer step at which the threshold reaches ``end``, above ``start_step``."""

    def __post_init__(self) -> None:
        # Equal steps would divide by zero in decide().
        if self.end_step <= self.start_step:
            raise ConfigError(
                f"strategy.end_step must be above start_step = {self.start_step}, got {self.end_step}: the threshold "
                "moves in between."
            )

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the point on the line."""
        del present, sign
        step = evidence.readings[-1].step
        # Flat before start_step and after end_step.
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
        """Return the quantile, linear between scores; the present threshold while there are no scores."""
        del sign
        # The first decisions of a run may come before the first scores.
        if not evidence.scores:
            return Decision(present, "no scores yet")
        ordered = sorted(evidence.scores)
        # Linear between the two neighbours, which is also the default of torch.quantile.
        position = self.quantile * (len(ordered) - 1)
        below = int(position)
        above = min(below + 1, len(ordered) - 1)
        value = ordered[below] + (position - below) * (ordered[above] - ordered[below])
        return Decision(value, f"{self.quantile:.0%} quantile of {len(ordered)} scores")
