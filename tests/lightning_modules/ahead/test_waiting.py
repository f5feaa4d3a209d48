"""Who waited for whom, on a clock that the test moves."""

import pytest

from lightning_modules.ahead import waiting
from lightning_modules.ahead.waiting import WaitingTimes


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def test_a_round_without_overlap_shares_the_time_between_learner_and_engine(clock: Clock) -> None:
    times = WaitingTimes()
    assert times.end_round() == {}
    clock.now += 3.0  # learning
    with times.for_sampling():
        clock.now += 1.0
    assert times.end_round() == {"time/learner_idle_fraction": 0.25, "time/engine_idle_fraction": 0.75}


def test_of_an_overlapped_rollout_only_the_rest_is_waited_for(clock: Clock) -> None:
    times = WaitingTimes()
    times.end_round()
    clock.now += 3.0
    with times.for_engine():
        clock.now += 1.0
    times.add_sampling(4.0)
    assert times.end_round() == {"time/learner_idle_fraction": 0.25, "time/engine_idle_fraction": 0.0}


def test_every_round_is_counted_by_itself(clock: Clock) -> None:
    times = WaitingTimes()
    times.end_round()
    with times.for_sampling():
        clock.now += 2.0
    times.end_round()
    clock.now += 2.0
    assert times.end_round() == {"time/learner_idle_fraction": 0.0, "time/engine_idle_fraction": 1.0}
