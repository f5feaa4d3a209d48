"""Prompts and their completions in one row of tokens, each prompt once, without padding.

    prompt 0 | prompt 1 | ... | completion 0 | completion 1 | ...          S tokens
    a completion sees its prompt and itself; its positions continue those of its prompt

The last token of a completion predicts nothing and is left out. A completion's first token is predicted by the last
token of its prompt.

Shapes: U prompts, B completions, S tokens of the row, N tokens of all completions, A axes of positions (3 for M-RoPE).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from models.reading.attention.blocks import Blocks, arrange

PlaceMask = Callable[[Any, Any, Any, Any], Any]
"""Whether a query sees a key of its own text: (batch, head, place of the query, place of the key), as transformers has
them; causal, or causal within a window."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each prompt and each completion lies in the row."""

    prompt_lengths: Int[Tensor, " U"]
    """Tokens of each prompt. This tensor and the next two are on the CPU."""

    prompts: Int[Tensor, " B"]
    """The prompt of each completion."""

    lengths: Int[Tensor, " B"]
    """Tokens of each completion."""

    device: torch.device
    """Device of the model."""

    readers: set[int] = field(default_factory=set)
    """Identities of the attention layers that have read the row."""

    @property
    def reads(self) -> Int[Tensor, " B"]:
        """Tokens of each completion that are read."""
        return (self.lengths - 1).clamp_min(0)

    @cached_property
    def owner(self) -> Int[Tensor, " S"]:
        """The prompt to which each token belongs."""
        of_prompts = torch.arange(len(self.prompt_lengths)).repeat_interleave(self.prompt_lengths)
        return torch.cat([of_prompts, self.prompts.repeat_interleave(self.reads)]).to(self.device)

    @cached_property
    def branch(self) -> Int[Tensor, " S"]:
        """The completion of each token; -1 for tokens of prompts."""
        of_prompts = torch.full((int(self.prompt_lengths.sum()),), -1)
        return torch.cat([of_prompts, torch.arange(len(self.reads)).repeat_interleave(self.reads)]).to(self.device)

    @cached_property
    def place(self) -> Int[Tensor, " S"]:
        """How many tokens of its own text are before each token."""
        behind = self.prompt_lengths[self.prompts].repeat_interleave(self.reads)
        return torch.cat([_count(self.prompt_lengths), _count(self.reads) + behind]).to(self.device)

    @cached_property
    def predictors(self) -> Int[Tensor, " N"]:
        """The token that predicts each token of the completions, row by row."""
        step = _count(self.lengths)
        ends = (self.prompt_lengths.cumsum(0) - 1)[self.prompts].repeat_interleave(self.lengths)
        starts = int(self.prompt_lengths.sum()) + self.reads.cumsum(0) - self.reads
        before = starts.repeat_interleave(self.lengths) + step - 1
        return torch.where(step == 0, ends, before).to(self.device)

    @cached_property
    def blocks(self) -> Blocks:
        """The row cut into rectangles, for attention kernels that cannot read a tree."""
        return arrange(self.prompt_lengths, self.prompts, self.reads, self.device)

    def positions(self, of_prompts: Int[Tensor, "A U L"], is_prompt: Bool[Tensor, "U L"]) -> Int[Tensor, "A S"]:
        """Return the position of every token.

        Args:
            of_prompts: positions of the prompts, padded.
            is_prompt: False at padding.
        """
        # A completion continues from the largest position on any axis, as text after a picture does (arXiv:2409.12191).
        ends = of_prompts.amax(0).masked_fill(~is_prompt, -1).amax(1)  # (U,)
        prompts, reads = self.prompts.to(self.device), self.reads.to(self.device)
        behind = (ends + 1)[prompts].repeat_interleave(reads) + _count(self.reads).to(self.device)
        return torch.cat([of_prompts[:, is_prompt], behind.expand(len(of_prompts), -1)], dim=1)

    def sees(self, within: PlaceMask, query: Any, key: Any) -> Any:
        """Return whether one token of the row sees another; both are given by index, and indices broadcast.

        Args:
            within: whether one token of a text sees another token of the same text, by their places in the text.
            query: index of the token that looks.
            key: index of the token that is looked at.
        """
        branch = self.branch[key]
        # A completion sees its prompt and itself; a prompt sees no completion.
        is_related = (self.owner[query] == self.owner[key]) & ((branch == -1) | (branch == self.branch[query]))
        return is_related & within(0, 0, self.place[query], self.place[key])


def pack(prompt_lengths: Tensor, prompts: Tensor, lengths: Tensor) -> Layout:
    """Return the layout of prompts and completions; lengths (U,) and (B,) in tokens, the prompt of each completion."""
    return Layout(prompt_lengths.cpu(), prompts.cpu(), lengths.cpu(), prompt_lengths.device)


def _count(lengths: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """Return the numbers 0, 1, 2, ... below each length, joined into one tensor."""
    starts = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
