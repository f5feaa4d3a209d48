"""Unbiased pass@k from n samples (Codex, arXiv:2107.03374, eq. 1).

pass@k = 1 - C(n - c, k) / C(n, k)      with c of n samples correct

Shapes: P prompts.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from algorithms.errors import ConfigError


def pass_at_k(num_correct: Int[Tensor, " P"], *, num_samples: int, k: int) -> Float[Tensor, " P"]:
    """Return for each prompt the probability that at least one of k samples, drawn without replacement, is right.

    Args:
        num_correct: c, right samples of each prompt.
        num_samples: n, samples of each prompt.
        k: how many are drawn.

    Raises:
        ConfigError: when k is not between 1 and n.
    """
    if not 1 <= k <= num_samples:
        raise ConfigError(f"pass@k needs 1 <= k <= samples per prompt, got k = {k} of {num_samples} samples.")
    wrong = (num_samples - num_correct).double()
    # C(n-c, k) / C(n, k) as a product of k factors; a factor reaches 0 when fewer than k are wrong.
    drawn = torch.arange(k, dtype=torch.double)
    factors = (wrong[:, None] - drawn).clamp_min(0.0) / (num_samples - drawn)  # (P, k)
    return (1.0 - factors.prod(dim=1)).float()
