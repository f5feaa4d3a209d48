"""A packed row cut into rectangles: kernels without a mask of blocks compute whole rectangles of scores.

    block: prompts of similar length, padded to the longest  -> causal attention among themselves
           their completions, cut by length in the same way  -> attention to [prompt, completion], the prompt's keys
                                                                copied for each completion

Only attention sees padding; the other layers compute the row. Padding is on the right, where no token sees it.

Shapes: U prompts, B completions, S tokens of the row, M places of all rectangles, n rows of a rectangle, l its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

# A shorter text starts a rectangle of its own where it is below this share of the longest one's length, and where the
# rectangle before it has so many scores that one more call is worth it.
_SIMILAR = 0.8
_FEW_SCORES = 2**18


@dataclass(frozen=True)
class Rectangle:
    """Prompts, or completions of the prompts of one block, padded to one length."""

    lengths: Int[Tensor, " n"]
    """Real tokens of each row."""

    prompts: Int[Tensor, " n"] | None
    """For completions: the row of each one's prompt in the rectangle of prompts. None: these are the prompts."""

    length: int
    """Tokens of a row, padding included."""

    @property
    def size(self) -> int:
        """Places in the rectangle."""
        return len(self.lengths) * self.length


@dataclass(frozen=True)
class Blocks:
    """Rectangles one behind the other, in blocks: that of the prompts first, then those of their completions."""

    blocks: Sequence[Sequence[Rectangle]]
    index: Int[Tensor, " M"]
    """For each place its token in the row; any token at padding."""

    inverse: Int[Tensor, " S"]
    """For each token of the row its place."""

    padding: Int[Tensor, " P"]
    """The places that are padding."""

    @cached_property
    def sizes(self) -> list[int]:
        """Places of each rectangle."""
        return [rectangle.size for block in self.blocks for rectangle in block]

    @cached_property
    def is_row(self) -> bool:
        """Whether the rectangles are the row itself, as where all lengths are equal."""
        return len(self.index) == len(self.inverse) and bool((self.index.diff() == 1).all())

    def spread(self, row: Tensor) -> Tensor:
        """Return the tokens (M, ...) of the rectangles of a row (S, ...)."""
        return row if self.is_row else _Rearranged.apply(row, self.index, self.inverse, None)  # pyright: ignore

    def gather(self, places: Tensor) -> Tensor:
        """Return the row (S, ...) of rectangles (M, ...)."""
        return places if self.is_row else _Rearranged.apply(places, self.inverse, self.index, self.padding)  # pyright: ignore


class _Rearranged(torch.autograd.Function):
    """Picks rows, each row of a packed row exactly once, so that backward picks too, which is faster than adding.

    What padding gets in the one direction is dropped in the other: in forward nothing sees padding, and in backward it
    has no gradient.
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
        prompts: of each completion.
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
        # Those of a single token have nothing in the row.
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
        keys: how many tokens each text's tokens see at most.
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
