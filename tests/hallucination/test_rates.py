"""Rates, their intervals, and whether they have risen."""

import pytest

from hallucination.rates import Counts, has_risen, wilson_interval


def test_the_wilson_interval_by_hand() -> None:
    # p = 0.1, n = 100, z = 1.96: center (0.1 + 0.019208) / 1.038416, half width 0.0603 / 1.038416
    low, high = wilson_interval(Counts(10, 100))
    assert (low, high) == (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4))
    assert wilson_interval(Counts(0, 0)) == (0.0, 1.0)
    assert wilson_interval(Counts(0, 50))[0] == 0.0


@pytest.mark.parametrize(
    ("before", "now", "risen"),
    [
        (Counts(20, 200), Counts(60, 200), True),
        (Counts(2, 20), Counts(6, 20), False),  # the same rates, but twenty claims may do that by chance
        (Counts(1000, 10000), Counts(1200, 10000), False),  # certain, but too small to matter
        (Counts(60, 200), Counts(20, 200), False),
        (Counts(0, 0), Counts(60, 200), False),  # nothing to compare with
    ],
)
def test_a_rise_must_be_large_enough_and_no_chance(before: Counts, now: Counts, risen: bool) -> None:
    assert has_risen(before, now, at_least=0.05) is risen
