import pytest
import torch

from rollouts.embedded.sampling import group_uniforms, pick_tokens


def logits_of(num_words: int) -> torch.Tensor:
    logits = torch.randn(64, num_words, generator=torch.Generator().manual_seed(0)) * 3
    logits[:, ::7] = float("-inf")
    logits[:, -1] = float("-inf")
    return logits


# The last three are searched block by block.
@pytest.mark.parametrize("num_words", [5, 512, 513, 1024, 5000])
def test_a_token_is_where_its_number_falls_in_the_cumulative_distribution(num_words: int) -> None:
    logits = logits_of(num_words)
    uniforms = group_uniforms(0, 64, group_size=1, num_tokens=1)[:, 0]
    tokens, logps = pick_tokens(logits, uniforms)
    probs = logits.double().softmax(-1)
    for row, token in enumerate(tokens.tolist()):
        assert probs[row, :token].sum() - 1e-6 <= uniforms[row] <= probs[row, : token + 1].sum() + 1e-6
        torch.testing.assert_close(logps[row].double(), probs[row, token].log(), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("num_words", [5, 1024, 5000])
@pytest.mark.parametrize("uniform", [0.0, 1.0])
def test_the_outermost_numbers_pick_possible_tokens(num_words: int, uniform: float) -> None:
    tokens, logps = pick_tokens(logits_of(num_words), torch.full((64,), uniform, dtype=torch.double))
    assert tokens.max() < num_words
    assert logps.isfinite().all()


def test_tokens_come_as_often_as_their_probability_says() -> None:
    probs = torch.full((1, 1300), 0.2 / 1298)
    probs[0, 100], probs[0, 1200] = 0.5, 0.3
    uniforms = torch.linspace(0, 1, 2001, dtype=torch.double)[:-1]
    tokens, _ = pick_tokens(probs.log().expand(2000, -1), uniforms)
    assert abs((tokens == 100).float().mean() - 0.5) < 2e-3
    assert abs((tokens == 1200).float().mean() - 0.3) < 2e-3


def test_without_numbers_the_likeliest_token_is_taken() -> None:
    logits = logits_of(5000)
    assert torch.equal(pick_tokens(logits, None)[0], logits.argmax(-1))
