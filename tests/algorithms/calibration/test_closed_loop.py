"""Strategies that follow the rate: decisions by hand and in a simulated loop."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.calibration import BackOff, Bounds, TargetRate
from algorithms.errors import ConfigError
from tests.algorithms.calibration.hand_made import evidence

BOUNDS = Bounds(low=0.0, high=4.0)
TARGET = TargetRate(target=0.2, band=0.02, step=0.5, recovery=0.5, bounds=BOUNDS)


@pytest.mark.parametrize(
    ("rate", "sign", "expected"),
    [(0.3, -1, 1.5), (0.3, 1, 2.5), (0.1, -1, 2.25), (0.1, 1, 1.75), (0.21, -1, 2.0), (0.19, -1, 2.0)],
)
def test_the_target_controller_steps_towards_the_stricter_end_above_the_band_and_half_back_below(
    rate: float, sign: int, expected: float
) -> None:
    assert TARGET.decide(2.0, evidence(rate), sign).threshold == expected


def test_reasons_are_given_in_words_and_numbers() -> None:
    assert TARGET.decide(2.0, evidence(0.3), -1).reason == "rate 30.0% is above 20.0% + 2.0%: stricter"
    assert "both rise, back off" in BackOff(window=1, step=1.0, bounds=BOUNDS).decide(
        2.0, evidence(0.1, 0.2, rewards=(1.0, 2.0)), -1
    ).reason  # fmt: skip


@pytest.mark.parametrize(
    ("rates", "rewards", "expected"),
    [
        ((0.1, 0.2), (1.0, 2.0), 1.0),  # both rise: hacking
        ((0.1, 0.2), (2.0, 1.0), 2.1),  # more hallucination with less reward: not the reward's doing
        ((0.2, 0.1), (1.0, 2.0), 2.1),  # reward rises as it should
        ((0.2,), (1.0,), 2.0),  # nothing to compare with
    ],
)
def test_back_off_needs_both_to_rise(rates, rewards, expected: float) -> None:
    back_off = BackOff(window=1, rise=0.05, step=1.0, recovery=0.1, bounds=BOUNDS)
    assert back_off.decide(2.0, evidence(*rates, rewards=rewards), -1).threshold == pytest.approx(expected)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30), st.sampled_from([-1, 1]))
def test_no_history_drives_a_threshold_out_of_its_bounds(rates: list[float], sign: int) -> None:
    for strategy in (TARGET, BackOff(window=1, rise=0.01, step=0.7, bounds=BOUNDS)):
        threshold = 2.0
        for i in range(len(rates)):
            rewards = tuple(rates[: i + 1])
            threshold = strategy.decide(threshold, evidence(*rates[: i + 1], rewards=rewards), sign).threshold
            assert BOUNDS.low <= threshold <= BOUNDS.high


@pytest.mark.parametrize("start", [0.0, 4.0])
def test_in_a_simulated_loop_the_rate_settles_at_the_target(start: float) -> None:
    # A policy whose hallucination rate follows the cap with a delay: 5 % without reward, 45 % at the largest cap.
    cap, rate, history = start, 0.05, []
    for _ in range(200):
        rate += 0.3 * (0.05 + 0.1 * cap - rate)
        history.append(rate)
        cap = TARGET.decide(cap, evidence(*history), -1).threshold
    assert all(abs(rate - 0.2) < 0.05 for rate in history[-20:])


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Bounds(low=1.0, high=1.0), "bounds.low must be below high = 1.0, got 1.0"),
        (lambda: TargetRate(target=0.1, step=0.0, bounds=BOUNDS), "step must be above 0, got 0.0"),
        (lambda: TargetRate(target=0.1, step=1.0, band=-0.1, bounds=BOUNDS), "band must be at least 0, got -0.1"),
        (
            lambda: TargetRate(target=0.1, step=1.0, recovery=1.5, bounds=BOUNDS),
            r"recovery must lie in \[0, 1\], got 1.5",
        ),
        (lambda: BackOff(window=0, step=1.0, bounds=BOUNDS), "window must be at least 1, got 0"),
        (lambda: BackOff(step=-1.0, bounds=BOUNDS), "step must be above 0, got -1.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(make, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"^strategy\.{complaint}"):
        make()
