"""The share of a run's time that monitoring takes, on a clock of the test's own."""

import pytest

from callbacks.loop import time_budget
from callbacks.loop.time_budget import TimeBudget


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time_budget, "time", clock)
    return clock


def test_only_counted_sections_are_in_the_share(clock: Clock) -> None:
    budget = TimeBudget(max_time_share=0.3)
    budget.start()
    with budget.counted():
        clock.now += 2.0
    assert budget.share == 1.0
    assert budget.is_spent
    clock.now += 6.0
    assert budget.share == 0.25
    assert not budget.is_spent
    with budget.counted():
        clock.now += 2.0
    assert budget.share == 0.4
    assert budget.is_spent


def test_without_a_bound_nothing_is_too_much(clock: Clock) -> None:
    budget = TimeBudget(max_time_share=None)
    budget.start()
    with budget.counted():
        clock.now += 2.0
    assert not budget.is_spent
