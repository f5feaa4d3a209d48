"""Log-probabilities and entropies of tokens."""

import math

import pytest
import torch
from torch.distributions import Categorical

from algorithms.logprobs import token_entropies, token_logps
from tests.assertions import assert_same

B, T, V = 3, 4, 11


@pytest.fixture
def logits() -> torch.Tensor:
    return 3.0 * torch.randn(B, T, V, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def token_ids() -> torch.Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(1))


def test_log_probs_are_those_of_the_categorical_distribution(logits: torch.Tensor, token_ids: torch.Tensor) -> None:
    assert_same(token_logps(logits, token_ids), Categorical(logits=logits).log_prob(token_ids))


def test_entropies_are_those_of_the_categorical_distribution(logits: torch.Tensor) -> None:
    assert_same(token_entropies(logits), Categorical(logits=logits).entropy())


def test_equal_logits_give_the_logarithm_of_the_vocabulary_size() -> None:
    uniform = torch.zeros(1, 1, V)
    assert_same(token_entropies(uniform), torch.full((1, 1), math.log(V)))
    assert_same(token_logps(uniform, torch.zeros(1, 1, dtype=torch.long)), torch.full((1, 1), -math.log(V)))


def test_adding_a_constant_to_all_logits_changes_nothing(logits: torch.Tensor, token_ids: torch.Tensor) -> None:
    assert_same(token_logps(logits + 50.0, token_ids), token_logps(logits, token_ids))
    assert_same(token_entropies(logits + 50.0), token_entropies(logits))


def test_banned_tokens_are_as_good_as_absent(logits: torch.Tensor, token_ids: torch.Tensor) -> None:
    banned = torch.cat([logits, torch.full((B, T, 2), -math.inf)], dim=-1)
    assert_same(token_entropies(banned), token_entropies(logits))
    assert_same(token_logps(banned, token_ids), token_logps(logits, token_ids))


def test_the_gradient_of_the_entropy_is_finite_and_right_with_banned_tokens(logits: torch.Tensor) -> None:
    logits.requires_grad_()
    expected = torch.autograd.grad(Categorical(logits=logits).entropy().sum(), logits)[0]
    banned = torch.cat([logits, torch.full((B, T, 2), -math.inf)], dim=-1)
    assert_same(torch.autograd.grad(token_entropies(banned).sum(), logits)[0], expected)


def test_banned_tokens_get_no_gradient_themselves(logits: torch.Tensor, token_ids: torch.Tensor) -> None:
    logits[..., -2:] = -math.inf
    logits.requires_grad_()
    total = token_entropies(logits).sum() + token_logps(logits, token_ids.clamp_max(V - 3)).sum()
    gradient = torch.autograd.grad(total, logits)[0]
    assert gradient.isfinite().all()
    assert not gradient[..., -2:].any()


def test_one_allowed_token_is_certain() -> None:
    logits = torch.full((1, 1, V), -math.inf)
    logits[..., 3] = 0.0
    assert token_logps(logits, torch.tensor([[3]])).item() == 0.0
    assert token_entropies(logits).item() == 0.0


def test_a_banned_token_has_log_prob_minus_infinity() -> None:
    assert token_logps(torch.tensor([[[0.0, -math.inf]]]), torch.tensor([[1]])).item() == -math.inf


def test_half_precision_logits_are_computed_in_32_bits(logits: torch.Tensor, token_ids: torch.Tensor) -> None:
    half = logits.bfloat16()
    assert token_logps(half, token_ids).dtype == token_entropies(half).dtype == torch.float32
    assert_same(token_logps(half, token_ids), token_logps(half.float(), token_ids))
    assert_same(token_entropies(half), token_entropies(half.float()))
