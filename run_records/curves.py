"""Reads the curves of a run from the event files in its folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

Curve = list["Point"]


class Point(NamedTuple):
    """One logged value."""

    step: int
    """Optimizer steps that were done at this point."""

    value: float
    time: float
    """Seconds since 1970."""


def read_curves(folder: Path, metrics: Iterable[str]) -> dict[str, Curve]:
    """Return curves that a run logged to TensorBoard; metrics that it did not log are left out.

    A run that was killed and resumed has logged some steps twice. For such a step the last value counts, because the
    run continued from it.

    Args:
        folder: the run's folder.
        metrics: names of metrics.
    """
    # Imported late: the import takes a second, and tables do not need it.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    wanted = list(metrics)
    points: dict[str, dict[int, Point]] = {name: {} for name in wanted}
    # Read file by file: for a whole folder the accumulator would drop steps after a restart by its own rules.
    for file in sorted(folder.glob("events.out.tfevents.*"), key=_time_in_name):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        events.Reload()
        for name in set(wanted) & set(events.Tags()["scalars"]):
            for event in events.Scalars(name):
                points[name][event.step] = Point(event.step, float(event.value), event.wall_time)
    return {name: [found[step] for step in sorted(found)] for name, found in points.items() if found}


def _time_in_name(file: Path) -> tuple[int, str]:
    # events.out.tfevents.TIME.HOST.PID.NUMBER
    number = file.name.split(".")[3]
    return (int(number) if number.isdigit() else 0, file.name)
