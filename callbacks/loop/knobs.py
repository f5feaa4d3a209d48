"""The thresholds that a calibrator can move, by the name a config gives them, and who owns them.

reward.PART.weight          factor of a reward part           stricter is lower
reward.PART.cap             bound of its ``rewards.Cap``      stricter is lower
data.selection.threshold    margin tau of preference pairs    stricter is higher
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from algorithms import ConfigError
from datamodules.online_preferences import OnlinePreferenceDataModule
from rewards import Cap, WeightedReward


@dataclass(frozen=True)
class Knob:
    """One threshold."""

    get: Callable[[], float]
    set: Callable[[float], None]
    stricter: int
    """+1 where a larger threshold gives the preference reward less influence, else -1."""


def find_knob(name: str, reward: WeightedReward, data: Any) -> Knob:
    """Return the threshold with this name.

    Raises:
        ConfigError: with the thresholds that there are.
    """
    knobs: dict[str, Knob] = {}
    for part, settings in reward.parts.items():
        knobs[f"reward.{part}.weight"] = _weight(reward, part)
        if isinstance(settings.scaling, Cap):
            knobs[f"reward.{part}.cap"] = _cap(settings.scaling)
    if isinstance(data, OnlinePreferenceDataModule):
        knobs["data.selection.threshold"] = _tau(data)
    if name not in knobs:
        raise ConfigError(
            f"callbacks.calibrator.moves is {name!r}, which this run does not have; it has {', '.join(knobs)}. A cap "
            "needs scaling: rewards.Cap at its part; tau needs datamodules.OnlinePreferenceDataModule."
        )
    return knobs[name]


def _weight(reward: WeightedReward, part: str) -> Knob:
    def set_weight(weight: float) -> None:
        reward.weights[part] = weight

    return Knob(get=lambda: reward.weights[part], set=set_weight, stricter=-1)


def _cap(scaling: Cap) -> Knob:
    def set_high(high: float) -> None:
        scaling.high = high

    return Knob(get=lambda: scaling.high, set=set_high, stricter=-1)


def _tau(data: OnlinePreferenceDataModule) -> Knob:
    def set_threshold(threshold: float) -> None:
        data.selection = replace(data.selection, threshold=threshold)

    return Knob(get=lambda: data.selection.threshold or 0.0, set=set_threshold, stricter=1)
