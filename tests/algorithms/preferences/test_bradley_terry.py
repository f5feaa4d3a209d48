import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.preferences.bradley_terry import (
    bradley_terry_loss,
    expected_calibration_error,
    pair_accuracy,
    reliability_curve,
)
from tests.assertions import assert_same

MARGINS = st.lists(st.floats(-20.0, 20.0, width=32), min_size=1, max_size=20).map(torch.tensor)


def logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def test_the_loss_is_the_mean_negative_log_probability_of_the_preferences() -> None:
    loss = bradley_terry_loss(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 3.0]))
    # By hand: (ln(1 + e^-1) + ln(1 + e^3)) / 2.
    assert_same(loss, torch.tensor((0.3132617 + 3.0485874) / 2))


def test_equal_scores_cost_ln_2() -> None:
    assert_same(bradley_terry_loss(torch.zeros(3), torch.zeros(3)), torch.tensor(math.log(2.0)))


@given(MARGINS, st.floats(-100.0, 100.0))
def test_a_constant_added_to_all_scores_does_not_matter(margins: torch.Tensor, constant: float) -> None:
    moved = bradley_terry_loss(margins + constant, torch.full_like(margins, constant))
    torch.testing.assert_close(moved, bradley_terry_loss(margins, torch.zeros_like(margins)), rtol=1e-3, atol=1e-4)


def test_a_pair_that_is_hopelessly_wrong_has_a_finite_loss_and_gradient() -> None:
    scores = torch.tensor([-1e4], requires_grad=True)
    loss = bradley_terry_loss(scores, torch.tensor([1e4]))
    loss.backward()
    assert scores.grad is not None
    assert_same(loss.detach(), torch.tensor(2e4))
    assert_same(scores.grad, torch.tensor([-1.0]))


def test_a_tie_of_scores_is_wrong() -> None:
    accuracy = pair_accuracy(torch.tensor([1.0, 0.0, 2.0, 5.0]), torch.tensor([0.0, 1.0, 2.0, 4.9]))
    assert_same(accuracy, torch.tensor(0.5))


def test_bins_hold_mean_confidence_accuracy_and_count() -> None:
    margins = torch.tensor([logit(0.6), -logit(0.7), logit(0.9), logit(0.94), -logit(0.98)])
    curve = reliability_curve(margins, num_bins=2)
    assert_same(curve.num_pairs, torch.tensor([2.0, 3.0]))
    assert_same(curve.confidence, torch.tensor([0.65, 0.94]))
    assert_same(curve.accuracy, torch.tensor([0.5, 2 / 3]))


def test_the_calibration_error_weighs_bins_by_their_pairs() -> None:
    margins = torch.tensor([logit(0.6), -logit(0.7), logit(0.9), logit(0.94), -logit(0.98)])
    error = expected_calibration_error(reliability_curve(margins, num_bins=2))
    assert_same(error, torch.tensor((2 * 0.15 + 3 * (0.94 - 2 / 3)) / 5))


def test_bins_without_pairs_are_undefined_and_do_not_touch_the_calibration_error() -> None:
    curve = reliability_curve(torch.tensor([30.0, 30.0]), num_bins=4)
    assert curve.accuracy.isnan().tolist() == curve.confidence.isnan().tolist() == [True, True, True, False]
    assert_same(expected_calibration_error(curve), torch.tensor(0.0))


def test_a_model_that_never_decides_is_calibrated_but_not_accurate() -> None:
    ties = torch.zeros(4)
    assert_same(expected_calibration_error(reliability_curve(ties)), torch.tensor(0.0))
    assert_same(pair_accuracy(ties, ties), torch.tensor(0.0))


def test_without_pairs_there_is_no_calibration_error() -> None:
    assert expected_calibration_error(reliability_curve(torch.zeros(0))).isnan()


def test_margins_drawn_from_the_model_itself_are_calibrated() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randn(40_000, generator=generator).abs() * 2
    is_right = torch.rand(40_000, generator=generator) < sizes.sigmoid()
    honest = torch.where(is_right, sizes, -sizes)
    assert expected_calibration_error(reliability_curve(honest)) < 0.01
    assert expected_calibration_error(reliability_curve(3 * honest)) > 0.05


@given(MARGINS)
def test_every_pair_is_in_one_bin(margins: torch.Tensor) -> None:
    assert int(reliability_curve(margins).num_pairs.sum()) == len(margins)


@pytest.mark.parametrize("margin", [-3.0, -0.1, 0.2, 5.0])
def test_a_reversed_pair_is_as_confident_and_as_wrong_as_it_was_right(margin: float) -> None:
    one, other = (reliability_curve(torch.tensor([m]), num_bins=1) for m in (margin, -margin))
    assert_same(one.confidence, other.confidence)
    assert_same(one.accuracy + other.accuracy, torch.ones(1))
