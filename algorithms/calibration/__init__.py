"""Reward-threshold calibration: how a threshold follows a monitored rate."""

from algorithms.calibration.closed_loop import BackOff, Bounds, TargetRate
from algorithms.calibration.open_loop import FixedThreshold, QuantileThreshold, ScheduledThreshold
from algorithms.calibration.strategy import Decision, Evidence, Reading, ThresholdStrategy

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
