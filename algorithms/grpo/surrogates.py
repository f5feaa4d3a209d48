"""Surrogates: the gain of a token as a function of its importance ratio rho and the advantage A of its sample.

    clip        min(rho A, clip(rho, 1 - low, 1 + high) A)                  (PPO, arXiv:1707.06347)
                and at least dual A for A < 0, where ``dual`` is set        (dual clip, arXiv:1912.09729)
    cispo       min(rho, 1 + high) A log pi, the ratio without gradient     (CISPO, arXiv:2506.13585)

Shapes: B samples, T completion tokens.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from algorithms.grpo.function_table import FunctionTable
from algorithms.grpo.ratios import bounded_exp


class ClipBounds(NamedTuple):
    """How far a ratio may move away from 1."""

    low: float
    high: float
    dual: float | None
    """Largest ratio that is used where the advantage is negative; None: no limit."""


class Gain(NamedTuple):
    """What each token adds to the objective, before averaging."""

    value: Float[Tensor, "B T"]
    is_clipped: Bool[Tensor, "B T"]
    """True where the ratio was cut: with ``clip`` such a token has no gradient, with ``cispo`` a bounded gradient."""


SurrogateName = Literal["clip", "cispo"]
Surrogate = Callable[[Tensor, Tensor, Tensor, ClipBounds], Gain]
"""(log_ratios (B, T), policy_logps (B, T), advantages (B,), bounds) -> gains; both log tensors are 0 at padding."""


def clip_gain(
    log_ratios: Float[Tensor, "B T"],
    policy_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, " B"],
    bounds: ClipBounds,
) -> Gain:
    """Return the clipped surrogate."""
    del policy_logps
    ratio = bounded_exp(log_ratios)
    unclipped = ratio * advantages[:, None]  # (B, T)
    clipped = ratio.clamp(1.0 - bounds.low, 1.0 + bounds.high) * advantages[:, None]  # (B, T)
    # The minimum clips only a ratio that has moved too far in the direction that raises the objective.
    value = torch.minimum(unclipped, clipped)
    is_clipped = clipped < unclipped
    if bounds.dual is not None:
        # For A < 0 the minimum has no lower limit: a large ratio would give an arbitrarily large gradient.
        floor = bounds.dual * advantages[:, None]
        is_below = (advantages[:, None] < 0.0) & (value < floor)
        value, is_clipped = torch.where(is_below, floor, value), is_clipped | is_below
    return Gain(value, is_clipped)


def cispo_gain(
    log_ratios: Float[Tensor, "B T"],
    policy_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, " B"],
    bounds: ClipBounds,
) -> Gain:
    """Return the log-likelihood weighted by the bounded ratio: every token keeps a gradient."""
    # Detached: the ratio is a weight here, and the gradient flows through log pi only.
    ratio = bounded_exp(log_ratios.detach())
    weight = ratio.clamp_max(1.0 + bounds.high)
    return Gain(weight * advantages[:, None] * policy_logps, ratio > weight)


SURROGATES: FunctionTable[Surrogate] = FunctionTable("model.grpo.surrogate", {"clip": clip_gain, "cispo": cispo_gain})
