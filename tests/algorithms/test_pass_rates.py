"""pass@k."""

import itertools
import math

import pytest
import torch

from algorithms.errors import ConfigError
from algorithms.pass_rates import pass_at_k
from tests.assertions import assert_same


def test_one_try_passes_as_often_as_samples_are_right() -> None:
    num_correct = torch.arange(9)
    assert_same(pass_at_k(num_correct, num_samples=8, k=1), num_correct / 8)


def test_all_tries_pass_when_any_sample_is_right() -> None:
    assert_same(pass_at_k(torch.tensor([0, 1, 8]), num_samples=8, k=8), torch.tensor([0.0, 1.0, 1.0]))


def test_all_but_one_try_pass_surely_with_two_right_samples() -> None:
    assert_same(pass_at_k(torch.tensor([0, 1, 2]), num_samples=8, k=7), torch.tensor([0.0, 7 / 8, 1.0]))


@pytest.mark.parametrize(("num_samples", "k"), [(n, k) for n in range(1, 7) for k in range(1, n + 1)])
def test_the_rate_is_the_share_of_subsets_with_a_right_sample(num_samples: int, k: int) -> None:
    expected = []
    for num_correct in range(num_samples + 1):
        subsets = list(itertools.combinations(range(num_samples), k))
        expected.append(sum(min(subset) < num_correct for subset in subsets) / len(subsets))
    assert_same(pass_at_k(torch.arange(num_samples + 1), num_samples=num_samples, k=k), torch.tensor(expected))


def test_many_samples_neither_overflow_nor_lose_precision() -> None:
    expected = 1 - math.comb(3990, 500) / math.comb(4000, 500)
    assert_same(pass_at_k(torch.tensor([10]), num_samples=4000, k=500), torch.tensor([expected]))


@pytest.mark.parametrize("k", [0, 9])
def test_a_k_that_cannot_be_drawn_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match=f"got k = {k} of 8 samples"):
        pass_at_k(torch.tensor([1]), num_samples=8, k=k)
