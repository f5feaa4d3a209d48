"""Where the time of a training step goes: seconds on the wall by part, and of all processor cores together; memory."""

import gc
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

# Steps that are not counted: the first ones allocate.
WARM_UP = 2

_CLEAR = Path("/proc/self/clear_refs")


class StepClock:
    """Measures steps from end to end, and functions within them."""

    def __init__(self, warm_up: int = WARM_UP) -> None:
        """Start without times; the first steps are not counted."""
        self.warm_up = warm_up
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.ends: list[float] = []
        self.processor_ends: list[float] = []

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, measured; it must run equally often in every step."""

        def call(*args: Any, **kwargs: Any) -> Any:
            started = now()
            result = function(*args, **kwargs)
            self.seconds[name].append(now() - started)
            return result

        return call

    def end_step(self) -> None:
        """Note that a step has ended; also called before the first one."""
        self.ends.append(now())
        self.processor_ends.append(time.process_time())

    def part(self, name: str, *, without: Sequence[str] = ()) -> float:
        """Return the median seconds of a call of a measured function, less those of functions that it calls."""
        inner = sum(statistics.median(self._counted(other)) for other in without)
        return statistics.median(self._counted(name)) - inner

    def totals(self, name: str) -> float:
        """Return the median seconds per step of a function that runs several times in a step."""
        return self.part(name) * len(self.seconds[name]) / (len(self.ends) - 1)

    def _counted(self, name: str) -> list[float]:
        """Return the times of the calls after the first steps."""
        return self.seconds[name][self.warm_up * (len(self.seconds[name]) // (len(self.ends) - 1)) :]

    @property
    def step(self) -> float:
        """Median seconds of a step."""
        return _median_between(self.ends[self.warm_up :])

    @property
    def processor_step(self) -> float:
        """Median processor seconds of a step: what is left of it when other programs share the cores."""
        return _median_between(self.processor_ends[self.warm_up :])


def forget_peak() -> None:
    """Start to watch the peak of memory anew: that of the GPU, else of this process."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif _CLEAR.exists():
        _CLEAR.write_text("5")  # Linux: resets VmHWM alone


def peak_gibibytes() -> float | None:
    """Return the peak since ``forget_peak``, whatever was there before included; None where the system does not say."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    if not _CLEAR.exists():
        return None
    lines = _CLEAR.with_name("status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def now() -> float:
    """Return the time in seconds, once a GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _median_between(ends: Sequence[float]) -> float:
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(ends))
