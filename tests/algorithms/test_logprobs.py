"""Log-probabilities and entropies of tokens, against the categorical distribution and plain autograd."""

import math

import pytest
import torch
from torch.distributions import Categorical

from algorithms.logprobs import HeadShape, TokenScores, shape_logits, token_scores
from tests.assertions import assert_same

N, H, V = 13, 8, 11
BANNED = torch.tensor([2, 7])


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def hidden() -> torch.Tensor:
    return 2.0 * normal(N, H, seed=0)


@pytest.fixture
def weight() -> torch.Tensor:
    return normal(V, H, seed=1)


@pytest.fixture
def bias() -> torch.Tensor:
    return normal(V, seed=2)


@pytest.fixture
def token_ids() -> torch.Tensor:
    allowed = torch.tensor([i for i in range(V) if i not in BANNED.tolist()])
    return allowed[torch.randint(len(allowed), (N,), generator=torch.Generator().manual_seed(3))]


def distribution(hidden, weight, bias=None, temperature: float = 1.0) -> Categorical:
    """What the tokens are drawn from, with banned words left out of the vocabulary."""
    logits = torch.nn.functional.linear(hidden, weight, bias) / temperature
    return Categorical(logits=logits.index_fill(-1, BANNED, -1e9))


@pytest.mark.parametrize("chunk_tokens", [1, 4, N, None])
def test_scores_are_those_of_the_categorical_distribution(hidden, weight, bias, token_ids, chunk_tokens) -> None:
    scores = token_scores(
        hidden, weight, bias, token_ids, banned_ids=BANNED, temperature=0.7, chunk_tokens=chunk_tokens
    )
    expected = distribution(hidden, weight, bias, 0.7)
    assert_same(scores.logps, expected.log_prob(token_ids))
    assert_same(scores.entropies, expected.entropy())


@pytest.mark.parametrize("chunk_tokens", [1, 4, N, None])
def test_gradients_are_those_of_the_whole_vocabulary_at_once(hidden, weight, bias, token_ids, chunk_tokens) -> None:
    inputs = [tensor.requires_grad_() for tensor in (hidden, weight, bias)]
    upstream = normal(N, seed=4)
    scores = token_scores(*inputs, token_ids, banned_ids=BANNED, temperature=0.7, chunk_tokens=chunk_tokens)
    expected = distribution(*inputs, 0.7).log_prob(token_ids)
    actual_grads = torch.autograd.grad((upstream * scores.logps).sum(), inputs)
    for actual, wanted in zip(actual_grads, torch.autograd.grad((upstream * expected).sum(), inputs), strict=True):
        assert_same(actual, wanted)


def test_a_frozen_head_gets_no_gradient_and_lets_it_through(hidden, weight, token_ids) -> None:
    hidden.requires_grad_()
    token_scores(hidden, weight, None, token_ids, banned_ids=BANNED).logps.sum().backward()
    assert weight.grad is None
    assert hidden.grad is not None
    assert hidden.grad.abs().sum() > 0


@pytest.mark.parametrize("chunk_tokens", [1, 4, None])
@pytest.mark.parametrize("with_logps", [True, False])
def test_the_gradient_of_entropies_is_that_of_the_distribution(
    hidden, weight, bias, token_ids, chunk_tokens, with_logps
) -> None:
    hidden = 0.2 * hidden  # flat distributions: the entropy of a sharp one is mostly rounding
    inputs = [tensor.requires_grad_() for tensor in (hidden, weight, bias)]
    upstream, other = normal(N, seed=4), normal(N, seed=5) * with_logps
    scores = token_scores(
        hidden, weight, bias, token_ids, banned_ids=BANNED, temperature=0.7, chunk_tokens=chunk_tokens
    )
    target = (scores.entropies * upstream).sum() + ((scores.logps * other).sum() if with_logps else 0.0)
    # Banned words are left out of this distribution by a large negative number, whose entropy has no NaN.
    expected = distribution(hidden, weight, bias, 0.7)
    reference = (expected.entropy() * upstream + expected.log_prob(token_ids) * other).sum()
    for one, two in zip(torch.autograd.grad(target, inputs), torch.autograd.grad(reference, inputs), strict=True):
        assert_same(one, two)


def test_equal_logits_give_the_logarithm_of_the_number_of_allowed_words() -> None:
    scores = token_scores(torch.zeros(1, H), torch.ones(V, H), None, torch.tensor([0]), banned_ids=BANNED)
    assert_same(scores.entropies, torch.tensor([math.log(V - 2)]))
    assert_same(scores.logps, torch.tensor([-math.log(V - 2)]))


def test_a_banned_token_has_log_prob_minus_infinity(hidden, weight) -> None:
    scores = token_scores(hidden[:1], weight, None, BANNED[:1], banned_ids=BANNED)
    assert scores.logps.item() == -math.inf


def test_half_precision_is_normalised_in_32_bits(hidden, weight, token_ids) -> None:
    scores = token_scores(hidden.bfloat16(), weight.bfloat16(), None, token_ids, banned_ids=BANNED)
    logits = (hidden.bfloat16() @ weight.bfloat16().T).float().index_fill(-1, BANNED, -math.inf)
    assert scores.logps.dtype == scores.entropies.dtype == torch.float32
    assert_same(scores.logps, logits.log_softmax(-1).gather(-1, token_ids[:, None]).squeeze(-1))


def test_under_autocast_both_directions_see_the_same_logits(hidden, weight, token_ids) -> None:
    hidden.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = token_scores(hidden, weight, None, token_ids, banned_ids=BANNED)
    half = token_scores(hidden.bfloat16(), weight.bfloat16(), None, token_ids, banned_ids=BANNED)
    assert_same(autocast.logps, half.logps)
    gradient, expected = (torch.autograd.grad(scores.logps.sum(), hidden)[0] for scores in (autocast, half))
    assert_same(gradient, expected)


def test_no_tokens_are_no_problem(weight) -> None:
    scores = token_scores(torch.zeros(0, H), weight, None, torch.zeros(0, dtype=torch.long), banned_ids=BANNED)
    assert isinstance(scores, TokenScores)
    assert scores.logps.shape == scores.entropies.shape == (0,)


def test_shaped_logits_are_over_the_temperature_and_banned_words_impossible() -> None:
    shaped = shape_logits(torch.ones(1, V).bfloat16(), BANNED, 0.5)
    assert shaped.dtype == torch.float32
    assert shaped[0, BANNED].tolist() == [-math.inf, -math.inf]
    assert shaped[0, 0].item() == 2.0


@pytest.mark.parametrize("shape", [HeadShape(0.3), HeadShape(soft_cap=2.0), HeadShape(1.7, 3.0)])
def test_a_scaled_and_capped_head_has_the_gradients_of_its_plain_formula(shape, hidden, weight, token_ids) -> None:
    bias = torch.linspace(-1.0, 1.0, V).requires_grad_()
    hidden, weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    scores = token_scores(
        hidden, weight, bias, token_ids, banned_ids=BANNED, temperature=0.7, chunk_tokens=2, head_shape=shape
    )
    raw = (hidden @ weight.T + bias) * shape.scale
    logits = raw if shape.soft_cap is None else shape.soft_cap * torch.tanh(raw / shape.soft_cap)
    all_logps = (logits / 0.7).index_fill(-1, BANNED, -math.inf).log_softmax(-1)
    logps = all_logps.gather(-1, token_ids[:, None]).squeeze(-1)
    entropies = -(all_logps.exp() * all_logps.clamp_min(-1e30)).sum(-1)
    assert_same(scores.logps, logps)
    assert_same(scores.entropies, entropies)
    for ours, theirs in zip(
        torch.autograd.grad(scores.logps.sum() + 0.5 * scores.entropies.sum(), [hidden, weight, bias]),
        torch.autograd.grad(logps.sum() + 0.5 * entropies.sum(), [hidden, weight, bias]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
