"""When a strategy that follows a rate leaves its threshold alone."""

import math

import pytest
import torch

from algorithms.calibration import BackOff, Bounds, TargetRate
from algorithms.calibration.strategy import Evidence, Reading
from algorithms.errors import ConfigError
from algorithms.intervals import wilson_interval
from tests.algorithms.calibration.hand_made import evidence

BOUNDS = Bounds(low=0.0, high=4.0)


def target_rate(**settings) -> TargetRate:
    return TargetRate(**({"target": 0.2, "band": 0.02, "step": 0.5, "bounds": BOUNDS} | settings))


def back_off(**settings) -> BackOff:
    return BackOff(**({"window": 1, "step": 0.5, "rise": 0.01, "bounds": BOUNDS} | settings))


def share_that_moves(strategy: TargetRate, rate: float, claims: int, *, num_readings: int = 4000) -> float:
    """Return the share of readings of a rate that never changes by which the threshold moves."""
    generator = torch.Generator().manual_seed(claims)
    events = torch.binomial(torch.full((num_readings,), float(claims)), torch.tensor(rate), generator=generator)
    # Readings of equal counts are decided alike.
    moved = 0
    for count, repeats in zip(*events.unique(return_counts=True), strict=True):
        decision = strategy.decide(2.0, evidence(float(count) / claims, claims=claims), -1)
        moved += int(repeats) * (decision.threshold != 2.0)
    return moved / num_readings


@pytest.mark.parametrize("claims", [0, 1, 9])
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_few_claims_are_no_evidence_whatever_their_rate(claims: int, rate: float, sign: int) -> None:
    for strategy, rates in ((target_rate(), (rate,)), (back_off(), (0.0, rate))):
        decision = strategy.decide(2.0, evidence(*rates, rewards=tuple(range(len(rates))), claims=claims), sign)
        assert decision.threshold == 2.0
        assert decision.lacks_evidence
        assert decision.reason == f"{claims} claims are fewer than 10: no evidence"


def test_the_reading_that_a_rise_is_measured_from_needs_claims_too() -> None:
    readings = [Reading(0, 0.0, 0.0, 0), Reading(10, 0.5, 1.0, 1000)]
    assert back_off().decide(2.0, Evidence(readings), -1).lacks_evidence
    assert not back_off().decide(2.0, Evidence(readings[1:] * 2), -1).lacks_evidence


def test_a_rate_that_is_no_number_is_no_evidence() -> None:
    assert target_rate().decide(2.0, evidence(math.nan), -1).lacks_evidence


def test_how_many_claims_are_needed_can_be_set() -> None:
    assert target_rate(min_claims=200).decide(2.0, evidence(0.9, claims=199), -1).lacks_evidence
    assert target_rate(min_claims=200).decide(2.0, evidence(0.9, claims=200), -1).threshold == 1.5


@pytest.mark.parametrize("claims", [20, 60, 200, 1000])
@pytest.mark.parametrize("target", [0.02, 0.1, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("band", [0.0, 0.01])
def test_chance_moves_the_threshold_in_at_most_one_reading_of_twenty(claims: int, target: float, band: float) -> None:
    # At the target itself without a band: nothing but chance can move it. Wilson's interval covers 95 % on average over
    # rates, and a little less at some of them.
    assert share_that_moves(target_rate(target=target, band=band), target, claims) < 0.075
    assert share_that_moves(target_rate(target=target, band=band, z=3.0), target, claims) < 0.02


def test_noise_far_above_the_band_does_not_move_the_threshold() -> None:
    # Readings of 60 claims scatter by 5 points, five times the band.
    strategy = target_rate(target=0.2, band=0.01)
    assert share_that_moves(strategy, 0.2, 60) < 0.05
    assert share_that_moves(strategy, 0.21, 60) < 0.05  # on the edge of the band


@pytest.mark.parametrize(("rate", "moved_by"), [(0.45, -0.5), (0.02, 0.25)])
def test_a_rate_that_is_really_off_moves_the_threshold(rate: float, moved_by: float) -> None:
    strategy = target_rate(target=0.2, band=0.01)
    assert share_that_moves(strategy, rate, 200) > 0.99
    assert strategy.decide(2.0, evidence(rate, claims=200), -1).threshold == 2.0 + moved_by


def test_more_claims_let_a_smaller_difference_count() -> None:
    moved = [target_rate().decide(2.0, evidence(0.26, claims=n), -1).threshold != 2.0 for n in (50, 200, 1000, 10_000)]
    assert moved == [False, False, True, True]


def test_a_reason_gives_the_interval() -> None:
    assert (
        target_rate().decide(2.0, evidence(0.4, claims=100), -1).reason
        == "rate 40.0% (30.9% to 49.8%) is above 20.0% + 2.0%: stricter"
    )


def test_a_rise_within_chance_is_no_sign_of_hacking() -> None:
    risen = {"rewards": (1.0, 2.0), "claims": 50}
    assert "both rise" not in back_off().decide(2.0, evidence(0.20, 0.30, **risen), -1).reason
    assert "both rise" in back_off().decide(2.0, evidence(0.20, 0.60, **risen), -1).reason
    assert "both rise" in back_off().decide(2.0, evidence(0.20, 0.30, rewards=(1.0, 2.0), claims=500), -1).reason


@pytest.mark.parametrize("start", [-0.1, 4.1, 16.0, math.nan])
@pytest.mark.parametrize("strategy", [target_rate(), back_off()], ids=["target", "back_off"])
def test_a_threshold_outside_of_its_bounds_is_refused_and_never_moved(strategy, start: float) -> None:
    with pytest.raises(ConfigError, match=r"^reward\.taste\.weight is .*, outside of strategy\.bounds from 0 to 4: "):
        strategy.check_start("reward.taste.weight", start)
    with pytest.raises(ConfigError, match=r"outside of strategy\.bounds"):
        strategy.decide(start, evidence(0.1, 0.9, rewards=(0.0, 1.0)), 1)


@pytest.mark.parametrize("start", [0.0, 2.0, 4.0])
def test_a_threshold_may_start_on_its_bounds(start: float) -> None:
    target_rate().check_start("x", start)
    back_off().check_start("x", start)


def test_settings_without_evidence_are_refused() -> None:
    for make in (target_rate, back_off):
        with pytest.raises(ConfigError, match=r"^strategy\.min_claims must be at least 1, got 0: a rate of no claims"):
            make(min_claims=0)
        with pytest.raises(ConfigError, match=r"^strategy\.z must be at least 0, got -1"):
            make(z=-1.0)


def test_wilsons_interval_of_a_rate_that_is_known_is_a_point() -> None:
    assert wilson_interval(0.3, math.inf) == (0.3, 0.3)
    assert wilson_interval(0.0, 0) == (0.0, 1.0)
    # Wilson (1927) by hand: 3 of 10 at 1.96.
    assert wilson_interval(0.3, 10) == pytest.approx((0.10779, 0.60322), abs=1e-5)
