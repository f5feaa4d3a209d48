"""The thresholds that a calibrator can move, by the name that a config gives them.

reward.PART.weight          factor of a reward part           stricter is lower
reward.PART.cap             bound of its ``rewards.Cap``      stricter is lower
data.selection.threshold    margin tau of preference pairs    stricter is higher
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from algorithms import ConfigError
from datamodules.online_preferences import OnlinePreferenceDataModule
from rewards import Cap, WeightedReward


@dataclass(frozen=True)
class Knob:
    """One threshold. Its value stays with its owner, a reward or a data module, which saves it in checkpoints."""

    get: Callable[[], float]
    """Returns the present value."""

    set: Callable[[float], None]
    """Replaces it."""

    stricter: int
    """+1 where a larger threshold gives the preference reward less influence, else -1."""


def find_knob(name: str, reward: WeightedReward, data: object) -> Knob:
    """Return the threshold with this name.

    Args:
        name: name of the threshold, as in the table above.
        reward: the reward of the run.
        data: the data module of the run.

    Raises:
        ConfigError: when the run has no such threshold; names the thresholds that it has.
    """
    # All thresholds are collected, because the error lists them.
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


# Separate functions, because a lambda in the loop above would use the last part for every name.
def _weight(reward: WeightedReward, part: str) -> Knob:
    return Knob(get=lambda: reward.weights[part], set=partial(reward.set_weight, part), stricter=-1)


def _cap(cap: Cap) -> Knob:
    return Knob(get=lambda: cap.high, set=cap.move, stricter=-1)


def _tau(data: OnlinePreferenceDataModule) -> Knob:
    if data.selection.top_share is not None:
        raise ConfigError(
            f"data.selection.top_share must be null where data.selection.threshold is moved, got "
            f"{data.selection.top_share}: a share sets the threshold by itself."
        )
    # A config may set no threshold (null): a calibrator then starts from 0.
    return Knob(get=lambda: data.selection.threshold or 0.0, set=data.set_threshold, stricter=1)
