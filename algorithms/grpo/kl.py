"""Per-token estimators of KL(policy || reference) from tokens that the policy sampled.

    d  = log pi - log pi_0
    k1 = d                      unbiased; as a loss its expected gradient is 0
    k2 = d^2 / 2                biased value, unbiased gradient of the KL
    k3 = exp(-d) - 1 + d        unbiased, never negative; GRPO's (DeepSeekMath, arXiv:2402.03300, eq. 4)

Named by J. Schulman, "Approximating KL divergence". R1V2's prose mentions a KL penalty, its equation 8 has none.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from algorithms.grpo.function_table import FunctionTable
from algorithms.grpo.ratios import LARGEST_LOG_RATIO

KLEstimatorName = Literal["k1", "k2", "k3"]
KLEstimator = Callable[[Tensor], Tensor]
"""d (B, T), which is 0 at padding -> estimates (B, T)."""


def k1(log_ratios: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the log-ratio itself."""
    return log_ratios


def k2(log_ratios: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return half the square of the log-ratio."""
    # The gradient of d^2 / 2 is d times that of log pi, whose expectation is the gradient of the KL.
    return 0.5 * log_ratios.square()


def k3(log_ratios: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the estimator that is never negative."""
    # Both terms are bounded: were it the exponential alone, the gradient below the bound would have the wrong sign.
    bounded = log_ratios.clamp_min(-LARGEST_LOG_RATIO)
    # expm1(-d) is exp(-d) - 1 without the cancellation that loses all digits of a d near 0.
    return torch.expm1(-bounded) + bounded


KL_ESTIMATORS: FunctionTable[KLEstimator] = FunctionTable("model.grpo.kl_estimator", {"k1": k1, "k2": k2, "k3": k3})
