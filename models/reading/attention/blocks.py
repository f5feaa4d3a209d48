"""Cuts a packed row into rectangles, for attention kernels that can only compute whole rectangles of scores.

    block: prompts of similar length, padded to the longest  -> causal attention within each prompt their completions,
           cut by length in the same way  -> attention to [prompt, completion], the prompt's keys
                                                                copied for each completion

Only attention works on padded rectangles; the other layers work on the row. Padding is on the right, and no token sees
it.

Shapes: U prompts, B completions, S tokens of the row, M places of all rectangles, n rows of a rectangle, l its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

# A text starts a new rectangle when it is shorter than this share of the longest text, and when the rectangle before it
# has so many scores that a further call of the kernel pays off.
_SIMILAR = 0.8
_FEW_SCORES = 2**18


@dataclass(frozen=True)
class Rectangle:
    """Prompts, or completions of the prompts of one block, padded to one length."""

    lengths: Int[Tensor, " n"]
    """Real tokens of each row."""

    prompts: Int[Tensor, " n"] | None
    """For completions: the row of each one's prompt in the rectangle of prompts. None: the rectangle holds prompts."""

    length: int
    """Tokens of a row, padding included."""

    @property
    def size(self) -> int:
        """Places in the rectangle."""
        return len(self.lengths) * self.length


@dataclass(frozen=True)
class Blocks:
    """The places of all rectangles, block by block: first the block's prompts, then their completions."""

    blocks: Sequence[Sequence[Rectangle]]
    index: Int[Tensor, " M"]
    """For each place the index of its token in the row; at padding the index of any token."""

    inverse: Int[Tensor, " S"]
    """For each token of the row its place in the rectangles."""

    padding: Int[Tensor, " P"]
    """The places that are padding."""

    @cached_property
    def sizes(self) -> list[int]:
        """Places of each rectangle."""
        return [rectangle.size for block in self.blocks for rectangle in block]

    @cached_property
    def is_row(self) -> bool:
        """Whether the rectangles are the row itself, for example because all lengths are equal."""
        return len(self.index) == len(self.inverse) and bool((self.index.diff() == 1).all())

    def spread(self, row: Tensor) -> Tensor:
        """Return the rectangles' tokens (M, ...), from a row (S, ...)."""
        return row if self.is_row else _Rearranged.apply(row, self.index, self.inverse, None)  # pyright: ignore

    def gather(self, places: Tensor) -> Tensor:
        """Return the row (S, ...), from rectangles (M, ...)."""
        return places if self.is_row else _Rearranged.apply(places, self.inverse, self.index, self.padding)  # pyright: ignore


class _Rearranged(torch.autograd.Function):
    """Picks rows by index. Each token of a packed row is picked exactly once, so backward can pick too, which is faster
    than adding gradients up.

    The values at padding are never used: in forward no token sees padding, and in backward padding has no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor, padding: Tensor | None) -> Tensor:
        """Return the rows at ``index``."""
        ctx.save_for_backward(inverse, padding)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradients in the old order."""
        inverse, padding = ctx.saved_tensors
        picked = gradients[0].index_select(0, inverse)
        return picked if padding is None else picked.index_fill_(0, padding, 0.0), None, None, None


def arrange(
    prompt_lengths: Int[Tensor, " U"], prompts: Int[Tensor, " B"], reads: Int[Tensor, " B"], device: torch.device
) -> Blocks:
    """Return the rectangles of a packed row.

    Args:
        prompt_lengths: tokens of each prompt.
        prompts: index of each completion's prompt.
        reads: tokens of each completion that are in the row.
        device: for what is returned.
    """
    starts = torch.cat([prompt_lengths, reads]).cumsum(0) - torch.cat([prompt_lengths, reads])
    of_prompts, of_completions = starts[: len(prompt_lengths)], starts[len(prompt_lengths) :]
    blocks: list[list[Rectangle]] = []
    pieces: list[Tensor] = []
    is_real: list[Tensor] = []

    def add(starts: Tensor, lengths: Tensor, prompts: Tensor | None) -> Rectangle:
        steps = torch.arange(int(lengths.max()))
        real = steps < lengths[:, None]  # (n, l)
        pieces.append(torch.where(real, starts[:, None] + steps, 0).flatten())
        is_real.append(real.flatten())
        return Rectangle(lengths.to(device), None if prompts is None else prompts.to(device), len(steps))

    for members in _similar(prompt_lengths, prompt_lengths):
        block = [add(of_prompts[members], prompt_lengths[members], None)]
        row_of = torch.full_like(prompt_lengths, -1)
        row_of[members] = torch.arange(len(members))
        # Completions of a single token have no token in the row: their last token is never read.
        theirs = ((row_of[prompts] >= 0) & (reads > 0)).nonzero().squeeze(1)
        for group in _similar(reads[theirs], reads[theirs] + block[0].length):
            rows = theirs[group]
            block.append(add(of_completions[rows], reads[rows], row_of[prompts[rows]]))
        blocks.append(block)
    index, real = torch.cat(pieces), torch.cat(is_real)
    inverse = torch.empty(int(real.sum()), dtype=torch.long)
    inverse[index[real]] = real.nonzero().squeeze(1)
    return Blocks(blocks, *(t.to(device) for t in (index, inverse, (~real).nonzero().squeeze(1))))


def _similar(lengths: Int[Tensor, " n"], keys: Int[Tensor, " n"]) -> list[Int[Tensor, " m"]]:
    """Return groups of similar length, the longest first, each in its original order.

    Args:
        lengths: in tokens.
        keys: for each text, how many tokens one of its tokens sees at most.
    """
    groups: list[list[int]] = []
    longest = scores = 0
    for i in lengths.argsort(descending=True, stable=True).tolist():
        length = int(lengths[i])
        if not groups or (length < _SIMILAR * longest and scores >= _FEW_SCORES):
            groups.append([])
            longest, scores = length, 0
        groups[-1].append(i)
        scores += longest * int(keys[i])
    return [torch.tensor(sorted(group)) for group in groups]
