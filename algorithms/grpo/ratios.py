"""Importance ratios between the policy being trained and the behavior policy, as logarithms.

    token       rho_it = pi(y_it) / behavior(y_it)                              (GRPO, arXiv:2402.03300)
    sequence    rho_i = (pi(y_i) / behavior(y_i))^(1/|y_i|), for every token    (GSPO, arXiv:2507.18071)

Shapes: B samples, T completion tokens.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from algorithms.grpo.function_table import FunctionTable

LARGEST_LOG_RATIO = 20.0
"""Log-ratio (nats) above which a ratio, 4.9e8, is used as it is, without gradient."""

RatioName = Literal["token", "sequence"]
Ratio = Callable[[Tensor, Tensor], Tensor]
"""(log_ratios, is_completion) -> the log-ratios to use; all three are (B, T), and the log-ratios are 0 at padding."""


def token_log_ratios(log_ratios: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return each token's own log-ratio."""
    del is_completion
    return log_ratios


def sequence_log_ratios(log_ratios: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the mean log-ratio of a sample at each of its tokens."""
    # A row without tokens divides by 1, so that it gets 0 and not NaN.
    mean = log_ratios.sum(dim=1) / is_completion.sum(dim=1).clamp_min(1)  # (B,)
    return torch.where(is_completion, mean[:, None], 0.0)  # (B, T)


def bounded_exp(log_ratios: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the ratios, finite and with a finite gradient for every log-ratio.

    Without the bound a log-ratio above 88.7 overflows 32-bit floats: a clip makes the value finite again, but backward
    through exp multiplies its zero gradient with infinity, and all weights become NaN.
    """
    return log_ratios.clamp_max(LARGEST_LOG_RATIO).exp()


RATIOS: FunctionTable[Ratio] = FunctionTable(
    "model.grpo.ratio", {"token": token_log_ratios, "sequence": sequence_log_ratios}
)
