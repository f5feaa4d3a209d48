"""Mixed Preference Optimization: three losses on pairs of a chosen and a rejected completion.

    loss   = w_p L_pref + w_q L_qual + w_g L_gen                     MPO, arXiv:2411.10442; R1V2, eq. 2
    L_pref = -log sigmoid(r_c - r_r)                                 DPO, eq. 3: which of the two is better
    L_qual = -log sigmoid(r_c - delta) - log sigmoid(delta - r_r)    BCO, eq. 4: is each one good by itself
    L_gen  = -log pi(y_c) / |y_c|                                    eq. 5: likelihood of the better one
    r      = beta (log pi(y) - log pi_0(y)),  pi_0 the reference     implicit reward of a completion

Not to be confused with Maximum a Posteriori Policy Optimisation, which shares the acronym.

Differs from InternVL's code and from TRL: L_gen is a mean per completion, as in the paper, and not a mean over
the tokens of a micro-batch; the two agree for one pair. TRL from 0.29 on has no delta (``reward_shift: none``).

Shapes: B pairs.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from algorithms.errors import ConfigError, check_at_least


@dataclass(frozen=True, kw_only=True)
class MPOConfig:
    """Weights of the three losses. With only ``generation_weight`` this is supervised fine-tuning."""

    beta: float = 0.1
    """Factor of the log-ratio in implicit rewards: large keeps the policy near the reference."""

    preference_weight: float = 0.8
    """w_p; 0 leaves the term out."""

    quality_weight: float = 0.2
    """w_q; 0 leaves the term out."""

    generation_weight: float = 1.0
    """w_g; 0 leaves the term out."""

    reward_shift: Literal["running_mean", "none"] = "running_mean"
    """delta: the mean of all implicit rewards so far, or 0."""

    def __post_init__(self) -> None:
        if self.beta <= 0.0:
            raise ConfigError(f"model.mpo.beta must be above 0, got {self.beta}: implicit rewards would all be 0.")
        weights = {
            "model.mpo.preference_weight": self.preference_weight,
            "model.mpo.quality_weight": self.quality_weight,
            "model.mpo.generation_weight": self.generation_weight,
        }
        for key, weight in weights.items():
            check_at_least(key, weight, 0, "a loss would be maximised")
        if not any(weights.values()):
            raise ConfigError(f"{', '.join(weights)} must not all be 0: there would be nothing to learn.")

    @property
    def is_contrastive(self) -> bool:
        """Whether the loss depends on rejected completions and on the reference."""
        return self.preference_weight > 0.0 or self.quality_weight > 0.0


def implicit_rewards(
    policy_logps: Float[Tensor, " B"], reference_logps: Float[Tensor, " B"], beta: float
) -> Float[Tensor, " B"]:
    """Return beta (log pi - log pi_0) of completions given by the sums of their tokens' log-probabilities."""
    return beta * (policy_logps - reference_logps)


def preference_loss(chosen_rewards: Float[Tensor, " B"], rejected_rewards: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return L_pref of each pair (DPO, arXiv:2305.18290): ln 2 where policy and reference agree."""
    # logsigmoid stays finite where log(sigmoid()) of a large negative margin is -inf.
    return -logsigmoid(chosen_rewards - rejected_rewards)


def quality_loss(
    chosen_rewards: Float[Tensor, " B"], rejected_rewards: Float[Tensor, " B"], shift: Float[Tensor, ""]
) -> Float[Tensor, " B"]:
    """Return L_qual of each pair (BCO, arXiv:2404.04656): both completions are judged against the shift."""
    # The chosen reward should lie above the shift, the rejected one below it.
    return -logsigmoid(chosen_rewards - shift) - logsigmoid(shift - rejected_rewards)


def generation_loss(chosen_logps: Float[Tensor, " B"], num_tokens: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Return L_gen of each pair: negative log-likelihood of the chosen completion in nats per token."""
    # Divided per completion, not per token of the batch: a long completion has the weight of a short one.
    return -chosen_logps / num_tokens


class MPOOutput(NamedTuple):
    """The loss of a batch of pairs, and its terms before weighting."""

    loss: Float[Tensor, ""]
    preference: Float[Tensor, " B"]
    quality: Float[Tensor, " B"]
    generation: Float[Tensor, " B"]


def mpo_loss(
    chosen_logps: Float[Tensor, " B"],
    chosen_rewards: Float[Tensor, " B"],
    rejected_rewards: Float[Tensor, " B"],
    num_tokens: Int[Tensor, " B"],
    *,
    shift: Float[Tensor, ""],
    num_pairs: int,
    config: MPOConfig,
) -> MPOOutput:
    """Return this batch's share of the loss.

    Args:
        chosen_logps: sum of the policy's log-probabilities over the tokens of each chosen completion.
        chosen_rewards: implicit rewards; ignored, like the next, by a config that is not contrastive.
        rejected_rewards: implicit rewards.
        num_tokens: tokens of each chosen completion.
        shift: delta, already updated with this batch; it carries no gradient.
        num_pairs: pairs of the whole batch that is averaged over, so that its splits add up to it.
        config: the weights.
    """
    # Detached: a shift that was computed from this batch would carry its gradient.
    shift = shift.detach() if config.reward_shift == "running_mean" else torch.zeros_like(shift)
    preference = preference_loss(chosen_rewards, rejected_rewards)
    quality = quality_loss(chosen_rewards, rejected_rewards, shift)
    generation = generation_loss(chosen_logps, num_tokens)
    terms = (
        (config.preference_weight, preference),
        (config.quality_weight, quality),
        (config.generation_weight, generation),
    )
    # A term of weight 0 must not reach the gradient: 0 * infinity is NaN.
    loss = sum((weight * term.sum() for weight, term in terms if weight > 0.0), chosen_logps.new_zeros(()))
    return MPOOutput(loss / num_pairs, preference, quality, generation)
