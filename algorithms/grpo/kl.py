"""Per-token estimators of KL(policy || reference) from tokens that the policy sampled.

    d  = log pi - log pi_0
    k1 = d                      unbiased; as a loss its expected gradient is 0
    k2 = d^2 / 2                biased value, unbiased gradient of the KL
    k3 = exp(-d) - 1 + d        unbiased, never negative; GRPO's (DeepSeekMath, arXiv:2402.03300, eq. 4)

Named by J. Schulman, "Approximating KL divergence". R1V2's prose mentions a KL penalty, its equation 8 has none.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor


def k1(log_ratios: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the log-ratio itself."""
    return log_ratios


def k2(log_ratios: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return half its square."""
    return 0.5 * log_ratios.square()


def k3(log_ratios: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the estimator that is never negative."""
    return torch.expm1(-log_ratios) + log_ratios


KL_ESTIMATORS: Mapping[str, Callable[[Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
