"""The GRPO surrogate with clipped importance ratios (R1V2, arXiv:2504.16656, eq. 8).

    loss = -1/N sum_i 1/|y_i| sum_t min( rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i )
    rho_it = pi(y_it) / behavior(y_it)

Differs from the paper: the paper's clip is symmetric; ``clip_high`` may be larger here (clip-higher,
DAPO, arXiv:2503.14476). The paper's prose mentions a KL penalty that its equation does not have, and
neither does this function. N counts the samples of one optimizer step over all micro-batches and ranks,
so that no split of a batch changes its gradient; it is passed in.

Shapes: B samples, T completion tokens.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from algorithms.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GRPOConfig:
    """Settings of the surrogate."""

    clip_low: float = 0.2
    """Largest relative drop of a token's probability that still earns gradient, in (0, 1]."""

    clip_high: float = 0.2
    """Largest relative rise of a token's probability that still earns gradient, above 0."""

    def __post_init__(self) -> None:
        if not 0.0 < self.clip_low <= 1.0:
            raise ConfigError(
                f"grpo.clip_low must lie in (0, 1], got {self.clip_low}: a ratio cannot fall by more than 1."
            )
        if self.clip_high <= 0.0:
            raise ConfigError(
                f"grpo.clip_high must be above 0, got {self.clip_high}: no token could ever become more likely."
            )


class GRPOOutput(NamedTuple):
    """The loss of one micro-batch and what to log about it, per sample."""

    loss: Float[Tensor, ""]
    clipped_fraction: Float[Tensor, " B"]
    """Share of a sample's tokens whose gradient the clip removed."""

    log_ratio: Float[Tensor, " B"]
    """Mean over a sample's tokens of log pi - log behavior; near 0 on fresh samples."""


def grpo_loss(
    policy_logps: Float[Tensor, "B T"],
    behavior_logps: Float[Tensor, "B T"],
    advantages: Float[Tensor, " B"],
    is_completion: Bool[Tensor, "B T"],
    *,
    num_samples: int,
    config: GRPOConfig,
) -> GRPOOutput:
    """Return this micro-batch's share of the surrogate.

    Args:
        policy_logps: log-probabilities under the policy being trained; carries the gradient.
        behavior_logps: log-probabilities under the policy that sampled, as stored.
        advantages: one per sample, copied to its tokens.
        is_completion: True at sampled tokens; values elsewhere do not matter.
        num_samples: N, the samples of the whole optimizer step.
        config: clip bounds.
    """
    # Zero the log-ratio before exp: padding may hold -inf, and inf * 0 is NaN.
    log_ratio = torch.where(is_completion, policy_logps - behavior_logps, 0.0)  # (B, T)
    ratio = log_ratio.exp()
    gain = ratio * advantages[:, None]
    clipped_gain = ratio.clamp(1.0 - config.clip_low, 1.0 + config.clip_high) * advantages[:, None]
    surrogate = torch.where(is_completion, torch.minimum(gain, clipped_gain), 0.0)

    num_tokens = is_completion.sum(dim=1).clamp_min(1)  # (B,)
    is_clipped = (clipped_gain < gain) & is_completion
    return GRPOOutput(
        loss=-(surrogate.sum(dim=1) / num_tokens).sum() / num_samples,
        clipped_fraction=is_clipped.sum(dim=1) / num_tokens,
        log_ratio=log_ratio.detach().sum(dim=1) / num_tokens,
    )
