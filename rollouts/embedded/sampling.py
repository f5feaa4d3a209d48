"""Draws tokens from uniform numbers that are fixed beforehand.

Each completion owns one uniform number per token, drawn from the seed of its prompt. The sampled token is the one at
which the cumulative distribution reaches the number. So a completion does not depend on which rows share its batch, nor
on when finished rows are dropped, except for rounding in the forward.

Shapes: R rows, T tokens, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from algorithms import position_generator

# Words whose probabilities are summed in 32 bits at a time.
_BLOCK = 512


def group_uniforms(seed: int, num_prompts: int, *, group_size: int, num_tokens: int) -> Float[Tensor, "R T"]:
    """Return uniform numbers in [0, 1) for every completion of every prompt, prompt by prompt."""
    return torch.cat(
        [
            torch.rand(group_size, num_tokens, dtype=torch.double, generator=position_generator(seed, "sampling", i))
            for i in range(num_prompts)
        ]
    )


def pick_tokens(
    logits: Float[Tensor, "R V"], uniforms: Float[Tensor, " R"] | None
) -> tuple[Int[Tensor, " R"], Float[Tensor, " R"]]:
    """Return one token per row and its log-probability; without uniforms the likeliest token."""
    logps = logits.log_softmax(dim=-1)
    chosen = logps.argmax(dim=-1) if uniforms is None else _invert(logps.exp(), uniforms)
    return chosen, logps.gather(-1, chosen[:, None]).squeeze(1)


def _invert(probs: Float[Tensor, "R V"], uniforms: Float[Tensor, " R"]) -> Int[Tensor, " R"]:
    """Return where each uniform number falls in its row's cumulative distribution.

    The block of words is found first, then the word in the block, so only one block needs sums in 64 bits.
    """
    num_words = probs.shape[1]
    if num_words <= _BLOCK:
        return _first_above(probs, uniforms)[0]
    padded = torch.nn.functional.pad(probs, (0, -num_words % _BLOCK))
    blocks = padded.unflatten(1, (-1, _BLOCK))  # (R, V / block, block)
    block, within = _first_above(blocks.sum(-1), uniforms)
    word, _ = _first_above(blocks[torch.arange(len(block), device=block.device), block], within)
    return (block * _BLOCK + word).clamp_max(num_words - 1)  # beyond it only for NaN, as below


def _first_above(weights: Float[Tensor, "R N"], fractions: Float[Tensor, " R"]) -> tuple[Tensor, Tensor]:
    """Return the first place at which the sum exceeds a fraction of the total, and how far into that place it falls."""
    sums = weights.double().cumsum(dim=-1)
    total = sums[:, -1:]
    # Below the total, because no sum exceeds the total. ``right`` skips places of weight zero, whose sum equals that of
    # the place before.
    bound = torch.minimum(fractions.to(sums)[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    # NaN would give a place beyond the last one. The caller notices NaN by its log-probability.
    place = torch.searchsorted(sums, bound, right=True).clamp_max(sums.shape[-1] - 1)
    weight = weights.gather(-1, place).double()
    within = 1.0 - (sums.gather(-1, place) - bound) / weight
    return place.squeeze(1), within.squeeze(1).clamp(0.0, 1.0)
