"""Attention in a packed row is that of a dense mask, whatever computes it."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention
from transformers.masking_utils import (
    causal_mask_function,
    chunked_causal_mask_function,
    sliding_window_causal_mask_function,
)

from algorithms import ConfigError
from models.reading.attention import blocks, pack
from models.reading.attention.shared_keys import shared_key_attention
from models.reading.attention.tree import TreeMask, tree_attention

MODULE: Any = SimpleNamespace(num_key_value_groups=2, is_causal=True)
WITHIN = {
    "causal": causal_mask_function,
    "window": sliding_window_causal_mask_function(5),
    "chunks": chunked_causal_mask_function(4, torch.zeros(1, dtype=torch.long)),
}
ROWS = {
    "equal": ([6, 6], [0, 0, 1, 1], [4, 4, 4, 4]),
    "ragged": ([9, 1, 7, 3], [0, 2, 2, 0, 3, 2], [5, 1, 9, 2, 3, 4]),
    "no completion to read": ([4, 2], [0, 1], [1, 1]),
}


def mask_of(row: str, within: str) -> TreeMask:
    return TreeMask(pack(*(torch.tensor(numbers) for numbers in ROWS[row])), WITHIN[within])


def states(mask: TreeMask) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries of four heads, keys and values of two."""
    generator = torch.Generator().manual_seed(0)
    size = len(mask.layout.place)
    query, key, value = (torch.randn(1, heads, size, 16, generator=generator).requires_grad_() for heads in (4, 2, 2))
    return query, key, value


def with_gradients(out: torch.Tensor, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    weights = torch.linspace(-1.0, 1.0, out.numel()).view_as(out)
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.mark.parametrize("few_scores", [0, 2**18], ids=["cut small", "whole"])
@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize("row", ROWS)
def test_rectangles_give_what_a_dense_mask_gives_and_its_gradients(
    row: str, within: str, few_scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_FEW_SCORES", few_scores)
    mask = mask_of(row, within)
    inputs = states(mask)
    ours = with_gradients(tree_attention(MODULE, *inputs, mask, scaling=0.4)[0], inputs)
    dense = shared_key_attention(MODULE, *inputs, mask.dense(), scaling=0.4)[0]
    for one, other in zip(ours, with_gradients(dense, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("within", WITHIN)
@torch.no_grad()
def test_flex_attention_is_given_the_same_mask(within: str) -> None:
    mask = mask_of("ragged", within)
    query, key, value = (x.detach() for x in states(mask))
    flex: Any = flex_attention(query, key, value, block_mask=mask.flex, enable_gqa=True)
    ours = tree_attention(MODULE, query, key, value, mask)[0]
    torch.testing.assert_close(flex.transpose(1, 2), ours, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("softcap", [None, 0.5])
def test_bounded_scores_and_sinks_are_in_every_number(softcap: float | None, sinks: bool) -> None:
    mask = mask_of("ragged", "window")
    inputs = states(mask)
    sink = torch.tensor([0.1, -2.0, 1.0, 0.5]) if sinks else None
    ours = tree_attention(MODULE, *inputs, mask, scaling=0.4, softcap=softcap, s_aux=sink)[0]
    query, key, value = inputs
    scores = 0.4 * query @ key.repeat_interleave(2, 1).transpose(2, 3)
    scores = scores if softcap is None else softcap * (scores / softcap).tanh()
    weights = scores.masked_fill(~mask.dense(), -torch.inf).exp()
    total = weights.sum(-1, keepdim=True) + (0.0 if sink is None else sink.exp().view(1, 4, 1, 1))
    theirs = (weights / total @ value.repeat_interleave(2, 1)).transpose(1, 2)
    for one, other in zip(with_gradients(ours, inputs), with_gradients(theirs, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-5)


def test_a_bias_of_a_layers_own_is_refused() -> None:
    mask = mask_of("equal", "causal")
    with pytest.raises(ConfigError, match=r"^model\.policy has layers of class SimpleNamespace, which add a bias"):
        tree_attention(MODULE, *states(mask), mask, position_bias=torch.zeros(1))
