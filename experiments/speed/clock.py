"""Measures a training step: seconds on the wall by part, seconds of all processor cores together, and memory."""

import gc
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

# Number of first steps that are not counted, because they allocate memory.
WARM_UP = 2

_CLEAR = Path("/proc/self/clear_refs")


class StepClock:
    """Measures whole steps, and functions within them."""

    def __init__(self, warm_up: int = WARM_UP) -> None:
        """Start without times; the first steps are not counted."""
        self.warm_up = warm_up
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.ends: list[float] = []
        self.processor_ends: list[float] = []

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a measured form of a function, which must run equally often in every step."""

        def call(*args: Any, **kwargs: Any) -> Any:
            started = now()
            result = function(*args, **kwargs)
            self.seconds[name].append(now() - started)
            return result

        return call

    def end_step(self) -> None:
        """Record the end of a step; also called before the first step."""
        self.ends.append(now())
        self.processor_ends.append(time.process_time())

    def part(self, name: str, *, without: Sequence[str] = ()) -> float:
        """Return the median seconds of a call of a measured function, without the time of measured functions inside."""
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
        """Median processor seconds of a step, which other programs on the cores disturb less."""
        return _median_between(self.processor_ends[self.warm_up :])


def forget_peak() -> None:
    """Start measuring the memory peak again: of the GPU, or without one of this process."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif _CLEAR.exists():
        _CLEAR.write_text("5")  # Linux: resets VmHWM alone


def peak_gibibytes() -> float | None:
    """Return the peak since ``forget_peak``, including earlier allocations; None when the system does not report it."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    if not _CLEAR.exists():
        return None
    lines = _CLEAR.with_name("status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def now() -> float:
    """Return the time in seconds, after waiting for the GPU to finish its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _median_between(ends: Sequence[float]) -> float:
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(ends))
