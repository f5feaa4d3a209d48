from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from models.reading.attention.shared_keys import shared_key_attention

MODULE = SimpleNamespace(num_key_value_groups=3, is_causal=True)


def attended(attend, num_queries: int, *, mask_heads: int = 1) -> list[torch.Tensor]:
    """Return the result and the gradients of query, key and value; the first row has two padding tokens."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 6, num_queries, 8, generator=generator).requires_grad_()
    key, value = (torch.randn(2, 2, 10, 8, generator=generator).requires_grad_() for _ in range(2))
    mask = torch.ones(2, mask_heads, num_queries, 10, dtype=torch.bool).tril(10 - num_queries)
    mask[0, :, :, :2] = False
    if mask_heads > 1:
        mask[:, 1, :, 3] = False
    out, _ = attend(MODULE, query, key, value, mask, scaling=0.3)
    return [out, *torch.autograd.grad(out.square().sum(), [query, key, value])]


@pytest.mark.parametrize(("num_queries", "mask_heads"), [(1, 1), (4, 1), (1, 6), (4, 6)])
def test_shared_keys_give_what_repeated_keys_give_and_the_same_gradients(num_queries: int, mask_heads: int) -> None:
    ours = attended(shared_key_attention, num_queries, mask_heads=mask_heads)
    theirs = attended(sdpa_attention_forward, num_queries, mask_heads=mask_heads)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0.0, atol=1e-5)


def learnt(attend: Callable[..., Any], mask: torch.Tensor | None) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 6, 7, 8, generator=generator).bfloat16().requires_grad_()
    key, value = (torch.randn(2, 2, 7, 8, generator=generator).bfloat16().requires_grad_() for _ in range(2))
    out, _ = attend(MODULE, query, key, value, mask, scaling=0.3)
    return [out, *torch.autograd.grad(out.float().square().sum(), [query, key, value])]


@pytest.mark.parametrize("is_masked", [False, True])
def test_in_bfloat16_gradients_do_not_take_the_slow_kernel_and_are_the_same(
    is_masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = torch.ones(2, 1, 7, 7, dtype=torch.bool).tril() if is_masked else None
    theirs = learnt(sdpa_attention_forward, mask)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the kernel with the slow backward was called")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse)
    for mine, other in zip(learnt(shared_key_attention, mask), theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0.03, atol=0.05)
