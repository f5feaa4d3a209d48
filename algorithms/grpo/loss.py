"""The GRPO objective with clipped importance ratios (R1V2, arXiv:2504.16656, eq. 8) and its relatives.

    loss = - average_it [ w_i c_it gain(rho_it, A_i) - kl_weight KL_it + entropy_weight H_it ]

With the defaults of ``GRPOConfig`` this is the paper's

    -1/N sum_i 1/|y_i| sum_t min( rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i )

w_i corrects a prioritised draw, and c_it the difference between engine and learner; both are 1 by default. KL and
entropy have weight 0 by default. The choices for rho, gain, average and KL are in ``ratios.py``, ``surrogates.py``,
``averages.py`` and ``kl.py`` of this folder.

Differs from the paper: the paper's clip is symmetric; ``clip_high`` may be larger here (clip-higher,
DAPO, arXiv:2503.14476). The paper's prose mentions a KL penalty that its equation does not have.

Shapes: B samples, T completion tokens.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from algorithms.experience_batch import ExperienceBatch
from algorithms.grpo.averages import AVERAGES, StepSize
from algorithms.grpo.config import GRPOConfig
from algorithms.grpo.kl import KL_ESTIMATORS
from algorithms.grpo.ratios import RATIOS, bounded_exp
from algorithms.grpo.surrogates import SURROGATES, ClipBounds


class GRPOOutput(NamedTuple):
    """The loss of one micro-batch and what to log about it, per sample and without gradient."""

    loss: Float[Tensor, ""]
    clipped_fraction: Float[Tensor, " B"]
    """Share of a sample's tokens whose ratio was cut."""

    log_ratio: Float[Tensor, " B"]
    """Mean over a sample's tokens of log pi - log behavior; near 0 on fresh samples."""

    kl: Float[Tensor, " B"]
    """Mean over a sample's tokens of the KL estimate; 0 without reference."""

    is_vetoed: Bool[Tensor, " B"]
    """True for rows that were left out as stale negatives."""


def grpo_loss(
    policy_logps: Float[Tensor, "B T"],
    samples: ExperienceBatch,
    *,
    size: StepSize,
    config: GRPOConfig,
    reference_logps: Float[Tensor, "B T"] | None = None,
    entropies: Float[Tensor, "B T"] | None = None,
) -> GRPOOutput:
    """Return this micro-batch's share of the objective.

    Args:
        policy_logps: log-probabilities under the policy being trained; carries the gradient.
        samples: everything else about the samples; values at padding do not matter.
        size: what the whole optimizer step holds.
        config: which objective.
        reference_logps: log-probabilities under the reference; needed when ``kl_weight`` is not 0.
        entropies: entropy of each token's distribution with its gradient; needed for the entropy bonus.
    """
    is_completion = samples.is_completion
    log_ratios = _masked_difference(policy_logps, samples.behavior_logps, is_completion)  # (B, T)
    # A row without tokens divides by 1, so that its means are 0 and not NaN.
    num_tokens = is_completion.sum(dim=1).clamp_min(1)  # (B,)
    log_ratio = log_ratios.detach().sum(dim=1) / num_tokens  # (B,)
    gain = SURROGATES.find(config.surrogate)(
        RATIOS.find(config.ratio)(log_ratios, is_completion),
        torch.where(is_completion, policy_logps, 0.0),
        samples.advantages,
        ClipBounds(config.clip_low, config.clip_high, config.dual_clip),
    )
    objective = gain.value * engine_weights(samples, config.engine_ratio_cap) * samples.weights[:, None]
    kl = torch.zeros_like(policy_logps)
    if config.kl_weight:
        assert reference_logps is not None, "a KL penalty needs a reference"
        kl = KL_ESTIMATORS.find(config.kl_estimator)(
            _masked_difference(policy_logps, reference_logps, is_completion)
        )  # (B, T)
        objective = objective - config.kl_weight * kl
    if config.entropy_weight:
        assert entropies is not None, "an entropy bonus needs entropies"
        objective = objective + config.entropy_weight * entropies
    is_vetoed = stale_negatives(samples, log_ratio, config.veto_log_ratio)
    is_learnt = is_completion & ~is_vetoed[:, None]
    # The tokens of vetoed rows still count in the divisor: leaving out one sample must not change another's weight.
    loss = -AVERAGES.find(config.average)(torch.where(is_learnt, objective, 0.0), is_completion, size)
    return GRPOOutput(
        loss=loss,
        clipped_fraction=(gain.is_clipped & is_completion).sum(dim=1) / num_tokens,
        log_ratio=log_ratio,
        kl=kl.detach().sum(dim=1) / num_tokens,
        is_vetoed=is_vetoed,
    )


def engine_weights(samples: ExperienceBatch, cap: float | None) -> Float[Tensor, "B T"]:
    """Return min(learner / engine probability, cap) of each token at sampling time; 1 where no engine log-probs exist.

    This is truncated importance sampling: engine and learner round differently, so their probabilities differ.
    """
    if cap is None or samples.engine_logps is None:
        return torch.ones_like(samples.behavior_logps)
    log_ratios = _masked_difference(samples.behavior_logps, samples.engine_logps, samples.is_completion)
    # Only large weights are cut: a single large weight could outweigh the rest of the batch.
    return bounded_exp(log_ratios).clamp_max(cap)


def stale_negatives(
    samples: ExperienceBatch, log_ratio: Float[Tensor, " B"], veto_log_ratio: float | None
) -> Bool[Tensor, " B"]:
    """Return the replayed samples with negative advantage that the policy has moved far away from.

    Pushing down what is already unlikely gains nothing, and its gradient is large (DeepSeek-V3.2, section 3.1, masks
    such sequences whether replayed or not).
    """
    if veto_log_ratio is None:
        return torch.zeros_like(samples.is_replay)
    return samples.is_replay & (samples.advantages < 0.0) & (-log_ratio > veto_log_ratio)


def _masked_difference(
    logps: Float[Tensor, "B T"], other_logps: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """Return the difference at completion tokens and 0 at padding."""
    # Zeroed before any exp: padding may hold -inf, and inf * 0 is NaN.
    return torch.where(is_completion, logps - other_logps, 0.0)
