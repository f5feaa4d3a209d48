"""Measures the time that monitoring takes, and bounds it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from algorithms import ConfigError
from rollouts import gather_ranks


class TimeBudget:
    """The share of a run's time that was spent in counted sections, on this rank's clock."""

    def __init__(self, max_time_share: float | None) -> None:
        """Check the bound.

        Args:
            max_time_share: largest share, between 0 and 1; None sets no bound.
        """
        if max_time_share is not None and not 0.0 < max_time_share < 1.0:
            raise ConfigError(
                f"callbacks.hallucination.max_time_share must lie between 0 and 1, got {max_time_share}: it is a "
                "share of the time since training started. null sets no bound."
            )
        self.max_time_share = max_time_share
        self._seconds, self._started = 0.0, 0.0

    def start(self) -> None:
        """Start the clock of the run."""
        self._started = time.perf_counter()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the seconds of a section."""
        started = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - started

    @property
    def share(self) -> float:
        """Seconds in counted sections over seconds since the start."""
        # At least a nanosecond, against a division by 0 right after the start.
        return self._seconds / max(1e-9, time.perf_counter() - self._started)

    @property
    def is_spent(self) -> bool:
        """Whether the bound is passed on any rank; a collective call with a bound, with one answer on every rank."""
        if self.max_time_share is None:
            return False
        # Clocks differ between ranks: a rank that skips a round alone would leave the others waiting in it.
        return any(share > self.max_time_share for share in gather_ranks(self.share))
