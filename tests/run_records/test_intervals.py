"""Intervals against numbers worked out by hand and against scipy's own tests."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from run_records import Interval, difference, mean_interval

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=8)


def test_the_interval_of_three_values_by_hand() -> None:
    # Mean 2, deviation 1, t(0.975, 2) = 4.3027: half width 4.3027 / sqrt(3).
    found = mean_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.n) == (2.0, 3)
    assert found.high == pytest.approx(2.0 + 4.302653 / math.sqrt(3), abs=1e-5)
    assert found.low == pytest.approx(2.0 - 4.302653 / math.sqrt(3), abs=1e-5)


def test_one_value_has_no_interval_and_no_value_is_refused() -> None:
    assert mean_interval([0.5]) == Interval(0.5, None, None, 1)
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])


def test_runs_of_the_same_seeds_are_compared_seed_by_seed() -> None:
    # Seeds differ by far more than the methods: only pairs tell that each is 0.1 better.
    ours, theirs = {0: 0.2, 1: 0.5, 2: 0.9}, {2: 0.8, 0: 0.1, 1: 0.4}
    found = difference(ours, theirs)
    assert found.mean == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


@given(VALUES, VALUES)
def test_runs_of_other_seeds_are_compared_as_welch_does(a: list[float], b: list[float]) -> None:
    found = difference({2 * i: value for i, value in enumerate(a)}, {2 * i + 1: value for i, value in enumerate(b)})
    assert found.mean == pytest.approx(sum(a) / len(a) - sum(b) / len(b), abs=1e-9)
    if max(a) - min(a) > 1e-3 and max(b) - min(b) > 1e-3:
        interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-6)


def test_one_run_against_several_has_a_difference_without_an_interval() -> None:
    assert difference({5: 1.0}, {0: 0.0, 1: 1.0}) == Interval(0.5, None, None, 1)


def test_values_that_are_all_equal_have_an_interval_of_no_width() -> None:
    assert difference({0: 1.0, 1: 1.0}, {2: 0.5, 3: 0.5}) == Interval(0.5, 0.5, 0.5, 2)
