"""Weighted draws without replacement."""

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.replay.sum_tree import SumTree

WEIGHTS = st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.0]), min_size=1, max_size=9)


def tree(weights: list[float]) -> SumTree:
    made = SumTree(len(weights))
    made.set(torch.arange(len(weights)), torch.tensor(weights, dtype=torch.double))
    return made


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(WEIGHTS, st.integers(0, 12), st.integers(0, 5))
def test_a_draw_holds_each_slot_at_most_once_and_none_without_weight(
    weights: list[float], num_draws: int, seed: int
) -> None:
    drawn = tree(weights).draw_distinct(num_draws, generator=generator(seed)).tolist()
    assert len(set(drawn)) == len(drawn) == min(num_draws, sum(w > 0 for w in weights))
    assert all(weights[slot] > 0 for slot in drawn)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(WEIGHTS, st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.0, 0.5, 2.0])), max_size=8))
def test_after_any_changes_the_tree_is_the_one_built_at_once(weights: list[float], changes: list) -> None:
    changed = tree(weights)
    for slot, weight in changes:
        slot %= len(weights)
        weights[slot] = weight
        changed.set(torch.tensor([slot]), torch.tensor([weight]))
        changed.draw_distinct(2, generator=generator())
    assert torch.equal(changed.sums, tree(weights).sums)
    assert changed.total == pytest.approx(sum(weights))


def test_the_order_of_draws_follows_the_weights_among_those_left() -> None:
    weights, num_trials = [1.0, 2.0, 5.0], 4000
    one_generator, drawing = generator(), tree(weights)
    seen = [tuple(drawing.draw_distinct(3, generator=one_generator).tolist()) for _ in range(num_trials)]
    for order in permutations(range(3)):
        left, expected = sum(weights), 1.0
        for slot in order:
            expected *= weights[slot] / left
            left -= weights[slot]
        five_sigma = 5.0 * math.sqrt(expected * (1.0 - expected) / num_trials)
        assert abs(seen.count(order) / num_trials - expected) < five_sigma


def test_a_slot_of_vanishing_weight_is_drawn_when_it_is_the_last() -> None:
    assert sorted(tree([1.0, 1e-300, 1e6]).draw_distinct(3, generator=generator()).tolist()) == [0, 1, 2]


def test_a_tree_of_no_slots_gives_nothing() -> None:
    assert len(SumTree(0).draw_distinct(3, generator=generator())) == 0
