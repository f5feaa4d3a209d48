"""Group-relative advantages (GRPO, arXiv:2402.03300; R1V2, arXiv:2504.16656, eq. 6).

    A_i = (r_i - mean(r)) / std(r)      over the G completions of one prompt, 0 in groups that are not effective

Differs from the paper: the paper names neither the std estimator nor the guard against zero. The
default is the unbiased estimator with 1e-6 added, as in EasyR1 and verl (TRL adds 1e-4). The paper calls a group
effective when its advantages are not zero; with a continuous preference score that is every group. Here the rule
rewards decide: completions that are all right and differ in taste carry no signal.

NaN is an unknown reward, such as that of a verifier that failed. Unknown is not wrong: mean and deviation are those of
the known rewards, and a completion with an unknown reward has advantage 0. A group with fewer than two known rewards is
not effective.

Shapes: P prompts, G completions per prompt.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from algorithms.errors import check_at_least


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig:
    """How rewards become advantages."""

    scale_by_std: bool = True
    """Divide by the standard deviation of the group (R1V2, eq. 6); False is Dr.GRPO (arXiv:2503.20783)."""

    population_std: bool = False
    """Divide the sum of squares of the deviation by G; False: by G - 1, as TRL, EasyR1 and verl do. The paper names
    neither."""

    eps: float = 1e-6
    """Added to the standard deviation; EasyR1's and verl's value (TRL 1e-4)."""

    tolerance: float = 0.0
    """A group is effective when its rule rewards differ by more than this."""

    def __post_init__(self) -> None:
        check_at_least("model.advantage.eps", self.eps, 0, "it keeps the standard deviation away from 0")
        # Below 0 a group of equal rewards would be effective.
        check_at_least("model.advantage.tolerance", self.tolerance, 0, "it is a difference of rewards")


def group_relative_advantages(
    rewards: Float[Tensor, "P G"],
    *,
    rule_rewards: Float[Tensor, "P G"] | None = None,
    config: AdvantageConfig = AdvantageConfig(),
) -> Float[Tensor, "P G"]:
    """Center each prompt's rewards on their group mean; a group that is not effective gets exactly zero.

    Args:
        rewards: total reward of each completion, NaN where it is unknown.
        rule_rewards: the part of each total that comes from rules; it decides which groups are effective. Default: the
            totals.
        config: estimator and tolerance.
    """
    rule_rewards = rewards if rule_rewards is None else rule_rewards
    is_known = ~(rewards.isnan() | rule_rewards.isnan())  # (P, G)
    is_whole = is_known.all(dim=1)  # (P,)
    advantages = torch.zeros_like(rewards)
    # torch warns when it computes the deviation of an empty tensor.
    if is_whole.any():
        advantages[is_whole] = _of_known(rewards[is_whole], rule_rewards[is_whole], config)
    # Group by group: each has its own number of known rewards, and there are few such groups.
    for row, known in enumerate(is_known):  # known: (G,)
        # One reward alone equals its mean, so it has no advantage over its group.
        if not is_whole[row] and known.sum() >= 2:
            advantages[row, known] = _of_known(rewards[row, known][None], rule_rewards[row, known][None], config)[0]
    return advantages


def _of_known(
    rewards: Float[Tensor, "P G"], rule_rewards: Float[Tensor, "P G"], config: AdvantageConfig
) -> Float[Tensor, "P G"]:
    """Return the advantages of groups whose rewards are all known."""
    centered = rewards - rewards.mean(dim=1, keepdim=True)  # (P, G)
    is_effective = effective_groups(rule_rewards, tolerance=config.tolerance)
    # The mean of equal floats can differ from them in the last bit, and x / (0 + eps) would blow that up.
    is_effective = is_effective & effective_groups(rewards)
    centered = torch.where(is_effective[:, None], centered, 0.0)
    if not config.scale_by_std:
        return centered
    # keepdim: (P, 1) divides the group's own row.
    return centered / (rewards.std(dim=1, correction=0 if config.population_std else 1, keepdim=True) + config.eps)


def effective_groups(rewards: Float[Tensor, "P G"], *, tolerance: float = 0.0) -> Bool[Tensor, " P"]:
    """Return which groups carry a learning signal: known rewards that differ by more than ``tolerance``."""
    is_known = ~rewards.isnan()
    # Largest minus smallest, not the standard deviation, which rounding can make non-zero for equal rewards.
    largest = rewards.where(is_known, -torch.inf).amax(dim=1)
    # A group without a known reward gives -inf - inf = -inf, which is above no tolerance.
    return largest - rewards.where(is_known, torch.inf).amin(dim=1) > tolerance
