"""Weights of a prioritised draw without replacement: right on average, for every function of a sample."""

from itertools import permutations

import pytest
import torch

from algorithms.replay.inclusion import inclusion_probabilities
from tests.algorithms.replay.test_buffer import filled, generator

BUFFERS = [
    [1.0, 9.0],
    [1.0, 1.0, 1.0],
    [1.0, 2.0, 5.0],
    [1e-6, 1.0, 1e3],
    [1.0, 100.0, 100.0, 100.0],
    [0.1, 0.2, 0.4, 0.8, 1.6],
    [1e-200, 1.0, 1e100, 3.0],
]


def orders(priorities: list[float], num_drawn: int) -> list[tuple[tuple[int, ...], float]]:
    """Return every order in which some slots can be drawn, with its probability."""
    found = []
    for order in permutations(range(len(priorities)), num_drawn):
        chance, left = 1.0, set(range(len(priorities)))
        for slot in order:
            chance *= priorities[slot] / sum(priorities[i] for i in left)
            left.remove(slot)
        found.append((order, chance))
    return found


def weights_of(priorities: list[float], order: tuple[int, ...]) -> list[float]:
    """Return the weights that a draw in this order has."""
    weights = torch.tensor([priorities[slot] for slot in order], dtype=torch.double)
    left = sum(p for slot, p in enumerate(priorities) if slot not in order)
    probabilities = inclusion_probabilities(weights, weight_left=left)
    assert ((probabilities > 0.0) & (probabilities <= 1.0)).all()
    return (len(order) / len(priorities) / probabilities).tolist()


CASES = [(priorities, k) for priorities in BUFFERS for k in range(1, len(priorities) + 1)]


@pytest.mark.parametrize(("priorities", "num_drawn"), CASES)
def test_each_sample_counts_as_much_as_every_other_on_average_over_all_draws(priorities, num_drawn: int) -> None:
    mean = [0.0] * len(priorities)
    for order, chance in orders(priorities, num_drawn):
        for slot, weight in zip(order, weights_of(priorities, order), strict=True):
            mean[slot] += chance * weight / num_drawn
    # So the mean over a draw of weight x f is on average the mean of f over the buffer; with f = 1, weights average 1.
    assert mean == pytest.approx([1 / len(priorities)] * len(priorities), rel=1e-9)


def test_draws_by_hand() -> None:
    assert weights_of([1.0, 9.0], (0, 1)) == [1.0, 1.0]
    assert weights_of([1.0, 9.0], (1, 0)) == [1.0, 1.0]
    assert weights_of([1.0, 9.0], (0,)) == pytest.approx([5.0])
    assert weights_of([1.0, 9.0], (1,)) == pytest.approx([5 / 9])
    assert weights_of([2.0] * 4, (3, 1)) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_a_draw_of_the_whole_buffer_needs_no_correction(exponent: float) -> None:
    advantages = [1.0, -9.0, 0.001, 1e6, -3.0]
    buffer = filled(advantages, correction_exponent=exponent, priority_exponent=2.0)
    for num_samples in (5, 50):
        assert buffer.draw(num_samples, generator=generator()).weights.tolist() == [1.0] * 5


@pytest.mark.parametrize("num_drawn", [8, 64, 192, 250])
def test_weights_average_one_however_much_of_the_buffer_is_drawn(num_drawn: int) -> None:
    advantages = torch.randn(256, generator=torch.Generator().manual_seed(0)).tolist()
    buffer = filled(advantages, correction_exponent=1.0, priority_exponent=2.0, capacity=256)
    one_generator = generator()
    draws = [buffer.draw(num_drawn, generator=one_generator).weights for _ in range(30)]
    means = torch.stack(draws).double().mean(dim=1)
    error = float(means.std()) / len(means) ** 0.5
    assert abs(float(means.mean()) - 1.0) < 5.0 * error + 1e-3


def test_rows_are_worked_off_in_parts_without_a_difference(monkeypatch) -> None:
    weights = torch.rand(50, dtype=torch.double, generator=torch.Generator().manual_seed(1)) + 0.01
    whole = inclusion_probabilities(weights, weight_left=3.0)
    monkeypatch.setattr("algorithms.replay.inclusion._MOST_ELEMENTS", 130)
    assert torch.equal(inclusion_probabilities(weights, weight_left=3.0), whole)


def test_correcting_leaves_the_draw_and_the_buffer_as_they_are() -> None:
    advantages = [1.0, 2.0, 3.0, 4.0, 5.0]
    plain, corrected = filled(advantages), filled(advantages, correction_exponent=1.0)
    for counter in range(5):
        drawn = [b.draw(3, generator=generator(counter)).prompt_uids.tolist() for b in (plain, corrected)]
        assert drawn[0] == drawn[1]
