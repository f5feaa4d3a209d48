"""Reward-threshold calibration: how a threshold follows a monitored rate."""

from algorithms.calibration.strategies import (
    BackOff,
    Bounds,
    Decision,
    Evidence,
    FixedThreshold,
    QuantileThreshold,
    Reading,
    ScheduledThreshold,
    TargetRate,
    ThresholdStrategy,
)

__all__ = [
    "BackOff",
    "Bounds",
    "Decision",
    "Evidence",
    "FixedThreshold",
    "QuantileThreshold",
    "Reading",
    "ScheduledThreshold",
    "TargetRate",
    "ThresholdStrategy",
]
