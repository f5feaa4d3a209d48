"""Attention in a packed row: each completion sees its prompt and itself, as if it had a row of its own.

On a GPU, FlexAttention (arXiv:2412.05496) skips every block of scores that the mask makes empty. It has no backward on
CPUs: on a CPU, and for layers that FlexAttention does not support, the row is cut into rectangles (``blocks.py``).

Shapes: S tokens of the row, H query heads, K key heads, D width of a head; n rows of a rectangle, l its length, L the
length of its prompts.
"""

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.masking_utils import causal_mask_function

from algorithms import ConfigError
from models.reading.attention.blocks import Rectangle
from models.reading.attention.layout import Layout, PlaceMask
from models.reading.attention.shared_keys import shared_key_attention

# FlexAttention's kernels cannot multiply narrower heads.
_NARROWEST_FLEX = 16


class TreeMask:
    """Which tokens of a packed row see each other in one kind of layer; the model's forward passes it on as a mask."""

    def __init__(self, layout: Layout, within: PlaceMask) -> None:
        """Remember the layout, and which tokens of one text see each other in these layers."""
        self.layout, self.within = layout, within
        self._rectangles: dict[int, Tensor | None] = {}

    def dense(self) -> Bool[Tensor, "1 1 S S"]:
        """Return the whole mask: S x S numbers, for tests."""
        index = torch.arange(len(self.layout.place), device=self.layout.device)
        return self.layout.sees(self.within, index[:, None], index)[None, None]

    @cached_property
    def flex(self) -> BlockMask:
        """The mask for FlexAttention."""
        size, device = len(self.layout.place), self.layout.device

        def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return self.layout.sees(self.within, query, key)

        # Without compilation the mask would hold all S x S numbers.
        return create_block_mask(sees, 1, None, size, size, device=str(device), _compile=device.type == "cuda")

    def of(self, rectangle: Rectangle, prompts: Rectangle) -> Bool[Tensor, "n 1 l s"] | None:
        """Return the mask of a rectangle, with s = l keys for prompts and s = L + l keys for completions. None: causal.

        Args:
            rectangle: the rectangle of the queries.
            prompts: the rectangle of their prompts.
        """
        # All layers of a kind share this object, so each rectangle's mask is made once.
        if id(rectangle) not in self._rectangles:
            self._rectangles[id(rectangle)] = self._of(rectangle, prompts)
        return self._rectangles[id(rectangle)]

    def _of(self, rectangle: Rectangle, prompts: Rectangle) -> Tensor | None:
        steps = torch.arange(rectangle.length, device=self.layout.device)
        if rectangle.prompts is None:
            # No mask: a causal kernel skips half of the scores, and padding is behind all real tokens, which cannot see
            # it.
            if self.within is causal_mask_function:
                return None
            return self._places(steps[None], steps[None])
        lengths = prompts.lengths[rectangle.prompts]
        if bool((lengths == prompts.length).all()):
            lengths = lengths[:1]  # one mask for all rows
        of_prompt = torch.arange(prompts.length, device=self.layout.device).expand(len(lengths), -1)
        own = lengths[:, None] + steps  # (n, l)
        mask = self._places(own, torch.cat([of_prompt, own], dim=1))
        is_there = torch.cat([of_prompt < lengths[:, None], torch.ones_like(own, dtype=torch.bool)], dim=1)
        return mask & is_there[:, None, None]

    def _places(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return as (n, 1, l, s) which of the key places (n, s) the query places (n, l) see."""
        return self.within(0, 0, queries[:, None, :, None], keys[:, None, None, :])


def tree_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: TreeMask,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Return attention (1, S, H, D); arguments as ``transformers`` gives them, query (1, H, S, D), key (1, K, S, D).

    Raises:
        ConfigError: for a layer that adds a bias of its own to the scores.
    """
    if position_bias is not None:
        raise ConfigError(
            f"model.policy has layers of class {type(module).__name__}, which add a bias to their scores: prompts "
            "cannot be shared by completions there."
        )
    mask.layout.readers.add(id(module))
    if query.is_cuda and not dropout and query.shape[-1] >= _NARROWEST_FLEX:
        # Under autocast, rotary tables may have turned queries and keys into 32-bit floats.
        query, key = query.to(value.dtype), key.to(value.dtype)
        out: Any = flex_attention_forward(module, query, key, value, mask.flex, scaling=scaling, **kwargs)
        return out[0], None
    return _by_rectangle(module, query, key, value, mask, {"scaling": scaling, "dropout": dropout, **kwargs}), None


def _by_rectangle(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: TreeMask, settings: dict[str, Any]
) -> Tensor:
    """Return attention (1, S, H, D), one rectangle after the other."""
    blocks = mask.layout.blocks
    # (1, H, S, D) -> (S, H, D) -> the rectangles, (n * l, H, D) each
    tokens = zip(*(blocks.spread(x[0].transpose(0, 1)).split(blocks.sizes) for x in (query, key, value)), strict=True)
    attended: list[Tensor] = []
    for block in blocks.blocks:
        prompts = block[0]
        prompt_key = prompt_value = query  # replaced by those of the first rectangle
        for rectangle in block:
            q, k, v = (x.unflatten(0, (-1, rectangle.length)) for x in next(tokens))  # (n, l, H, D)
            if rectangle.prompts is None:
                prompt_key, prompt_value = k, v
            else:
                k = torch.cat([prompt_key.index_select(0, rectangle.prompts), k], dim=1)  # (n, L + l, K, D)
                v = torch.cat([prompt_value.index_select(0, rectangle.prompts), v], dim=1)
            out, _ = shared_key_attention(
                module, *(x.transpose(1, 2) for x in (q, k, v)), mask.of(rectangle, prompts), **settings
            )  # (n, l, H, D)
            attended.append(out.flatten(0, 1))
    return blocks.gather(torch.cat(attended))[None]
