"""Measures how long learner and engine wait for each other, from one rollout to the next."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class WaitingTimes:
    """Counts seconds on this rank. A round ends when a rollout is finished and the next one has not begun."""

    def __init__(self) -> None:
        """Start without a round."""
        self._round_began: float | None = None
        self._waited = self._sampled = 0.0

    @contextmanager
    def for_engine(self) -> Iterator[None]:
        """Count the time inside as the learner's waiting."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._waited += time.perf_counter() - began

    @contextmanager
    def for_sampling(self) -> Iterator[None]:
        """Count the time inside as the learner's waiting and as the engine's work."""
        began = time.perf_counter()
        try:
            with self.for_engine():
                yield
        finally:
            self.add_sampling(time.perf_counter() - began)

    def add_sampling(self, seconds: float) -> None:
        """Count time in which the engine sampled while the learner did something else."""
        self._sampled += seconds

    def end_round(self) -> dict[str, float]:
        """Return the shares of the round that ends now, and begin the next; no shares when no round had begun."""
        now, began = time.perf_counter(), self._round_began
        waited, sampled = self._waited, self._sampled
        self._round_began, self._waited, self._sampled = now, 0.0, 0.0
        if began is None:
            return {}
        return {
            "time/learner_idle_fraction": waited / (now - began),
            "time/engine_idle_fraction": 1.0 - sampled / (now - began),
        }
