"""Drawing tokens from uniform numbers that are fixed beforehand.

Each completion owns one uniform number per token, drawn from the seed of its prompt. A token is where the
number falls in the cumulative distribution. So a completion does not depend on which rows share its batch
or on when finished rows are dropped, beyond the rounding of the forward itself.

Shapes: R rows, T tokens, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from algorithms import position_generator


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
    if uniforms is None:
        chosen = logps.argmax(dim=-1)
    else:
        cumulative = logps.exp().double().cumsum(dim=-1)
        # Scaled by the last entry, because rounding leaves the sum a little off 1. ``right`` skips tokens of
        # probability zero, which share their bound with the token before.
        bound = uniforms.to(cumulative)[:, None] * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, bound, right=True).squeeze(1)
    return chosen, logps.gather(-1, chosen[:, None]).squeeze(1)
