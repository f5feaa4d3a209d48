"""Soft punishment of completions that near the length limit (DAPO, arXiv:2503.14476, eq. 13).

0                                       up to  max_tokens - soft_tokens
(max_tokens - soft_tokens - n) / soft_tokens    in the soft zone, falling from 0 to -1
-1                                      above  max_tokens
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def overlong_penalty(num_tokens: Int[Tensor, " B"], *, max_tokens: int, soft_tokens: int) -> Float[Tensor, " B"]:
    """Return a reward in [-1, 0] for each completion length.

    Args:
        num_tokens: length of each completion.
        max_tokens: length from which the whole penalty holds.
        soft_tokens: width of the zone before it, above 0.
    """
    # Above 0 before the soft zone and below -1 after it: the clamp makes both ends flat.
    over = (max_tokens - soft_tokens - num_tokens).float() / soft_tokens
    return torch.clamp(over, -1.0, 0.0)
