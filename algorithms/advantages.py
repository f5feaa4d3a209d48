"""Group-relative advantages (GRPO, arXiv:2402.03300; R1V2, arXiv:2504.16656, eq. 6).

    A_i = (r_i - mean(r)) / std(r)      over the G completions of one prompt

Differs from the paper: the paper names neither the std estimator nor the guard against zero. The
default is the unbiased estimator with 1e-6 added, as in EasyR1 and verl (TRL adds 1e-4).

Shapes: P prompts, G completions per prompt.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def group_relative_advantages(
    rewards: Float[Tensor, "P G"], *, scale_by_std: bool = True, std_correction: int = 1, eps: float = 1e-6
) -> Float[Tensor, "P G"]:
    """Center each prompt's rewards on their group mean; a group of equal rewards gets exactly zero.

    Args:
        rewards: total reward of each completion.
        scale_by_std: divide by the group's standard deviation. False is Dr.GRPO (arXiv:2503.20783).
        std_correction: 1 for the unbiased estimator, 0 for the population one.
        eps: added to the standard deviation.
    """
    centered = rewards - rewards.mean(dim=1, keepdim=True)
    # The mean of equal floats can differ from them in the last bit, and x / (0 + eps) would blow that up.
    centered = torch.where(effective_groups(rewards)[:, None], centered, 0.0)
    if not scale_by_std:
        return centered
    return centered / (rewards.std(dim=1, correction=std_correction, keepdim=True) + eps)


def effective_groups(rewards: Float[Tensor, "P G"], *, tolerance: float = 0.0) -> Bool[Tensor, " P"]:
    """Return which groups carry a learning signal: rewards that differ by more than ``tolerance``."""
    return rewards.amax(dim=1) - rewards.amin(dim=1) > tolerance
