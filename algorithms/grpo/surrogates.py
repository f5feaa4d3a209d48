"""Importance ratios and what is made of them: the parts in which GRPO's relatives differ.

    ratios        token       rho_it = pi(y_it) / behavior(y_it)                              (GRPO)
                  sequence    rho_i = (pi(y_i) / behavior(y_i))^(1/|y_i|), for every token    (GSPO, arXiv:2507.18071)
    surrogates    clip        min(rho A, clip(rho, 1 - low, 1 + high) A), not below c A  (PPO; arXiv:1912.09729)
                  cispo       min(rho, 1 + high) A log pi, the ratio without gradient         (CISPO, arXiv:2506.13585)
    averages      sequence    mean over samples of the mean over tokens                       (GRPO; R1V2, eq. 8)
                  token       mean over all tokens                                            (DAPO, arXiv:2503.14476)
                  constant    sum over tokens / longest length, mean over samples         (Dr.GRPO, arXiv:2503.20783)

Averages divide by the size of the whole optimizer step, so that no split of a batch changes its gradient.

Shapes: B samples, T completion tokens.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class StepSize(NamedTuple):
    """What one optimizer step holds, over all of its micro-batches and ranks."""

    num_samples: float
    num_tokens: float
    max_tokens: int
    """Longest completion that sampling allows."""


class ClipBounds(NamedTuple):
    """How far a ratio may go."""

    low: float
    high: float
    dual: float | None
    """Largest ratio that counts where the advantage is negative; None: any."""


class Gain(NamedTuple):
    """What each token adds to the objective, before averaging."""

    value: Float[Tensor, "B T"]
    is_clipped: Bool[Tensor, "B T"]
    """Where the ratio was cut: with ``clip`` such a token has no gradient, with ``cispo`` a bounded one."""


def token_log_ratios(log_ratios: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return each token's own log-ratio."""
    del is_completion
    return log_ratios


def sequence_log_ratios(log_ratios: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the mean log-ratio of a sample at each of its tokens."""
    mean = log_ratios.sum(dim=1) / is_completion.sum(dim=1).clamp_min(1)
    return torch.where(is_completion, mean[:, None], 0.0)


def clip_gain(
    log_ratios: Float[Tensor, "B T"],
    policy_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, " B"],
    bounds: ClipBounds,
) -> Gain:
    """Return the clipped surrogate."""
    del policy_logps
    ratio = log_ratios.exp()
    free = ratio * advantages[:, None]
    bounded = ratio.clamp(1.0 - bounds.low, 1.0 + bounds.high) * advantages[:, None]
    value = torch.minimum(free, bounded)
    is_clipped = bounded < free
    if bounds.dual is not None:
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
    ratio = log_ratios.detach().exp()
    weight = ratio.clamp_max(1.0 + bounds.high)
    return Gain(weight * advantages[:, None] * policy_logps, ratio > weight)


def sequence_mean(
    values: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"], size: StepSize
) -> Float[Tensor, ""]:
    """Return this micro-batch's share of the mean over samples of the mean over tokens."""
    per_sample = values.sum(dim=1) / is_completion.sum(dim=1).clamp_min(1)
    return per_sample.sum() / size.num_samples


def token_mean(values: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"], size: StepSize) -> Float[Tensor, ""]:
    """Return this micro-batch's share of the mean over all tokens."""
    del is_completion
    return values.sum() / size.num_tokens


def constant_mean(
    values: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"], size: StepSize
) -> Float[Tensor, ""]:
    """Return this micro-batch's share of the mean over samples of the sum over tokens / longest length."""
    del is_completion
    return values.sum() / (size.num_samples * size.max_tokens)


RATIOS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"token": token_log_ratios, "sequence": sequence_log_ratios}
SURROGATES: Mapping[str, Callable[[Tensor, Tensor, Tensor, ClipBounds], Gain]] = {
    "clip": clip_gain,
    "cispo": cispo_gain,
}
AVERAGES: Mapping[str, Callable[[Tensor, Tensor, StepSize], Tensor]] = {
    "sequence": sequence_mean,
    "token": token_mean,
    "constant": constant_mean,
}
