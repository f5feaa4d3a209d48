"""Strategies that do not look at the rate."""

import pytest

from algorithms.calibration import Evidence, FixedThreshold, QuantileThreshold, ScheduledThreshold, ThresholdStrategy
from algorithms.errors import ConfigError
from tests.algorithms.calibration.hand_made import evidence


def test_a_fixed_threshold_never_moves() -> None:
    assert FixedThreshold(value=3.0).decide(9.0, evidence(0.9), -1).threshold == 3.0


@pytest.mark.parametrize(("num_readings", "expected"), [(1, 4.0), (3, 3.0), (5, 2.0), (9, 2.0)])
def test_a_schedule_is_a_straight_line_between_two_steps(num_readings: int, expected: float) -> None:
    schedule = ScheduledThreshold(start=4.0, end=2.0, start_step=0, end_step=40)
    assert schedule.decide(0.0, evidence(*[0.1] * num_readings), -1).threshold == pytest.approx(expected)


def test_a_quantile_leaves_the_same_share_of_scores_beyond_it_as_they_drift() -> None:
    half = QuantileThreshold(quantile=0.5)
    assert half.decide(0.0, evidence(0.1, scores=(1.0, 5.0, 3.0, 4.0)), -1).threshold == 3.5
    assert half.decide(0.0, evidence(0.1, scores=(11.0, 15.0, 13.0, 14.0)), -1).threshold == 13.5
    assert half.decide(7.0, evidence(0.1), -1).threshold == 7.0


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: QuantileThreshold(quantile=1.5), r"quantile must lie in \[0, 1\], got 1.5"),
        (
            lambda: ScheduledThreshold(start=0.0, end=1.0, start_step=5, end_step=5),
            "end_step must be above start_step = 5, got 5",
        ),
    ],
)
def test_impossible_settings_are_refused_by_name(make, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"^strategy\.{complaint}"):
        make()


def test_a_strategy_without_a_decision_is_an_error_that_names_its_class() -> None:
    class Undecided(ThresholdStrategy):
        pass

    with pytest.raises(TypeError, match=r"Undecided must define decide\(\)"):
        Undecided().decide(0.0, Evidence([]), 1)
