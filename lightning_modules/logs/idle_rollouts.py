"""Warns when many rollouts in a row have no effective group, and names the likely reasons.

Shapes: P prompts, G completions per prompt.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from lightning_modules.logs.missing_form import MissingForm, has_form
from rollouts import RolloutPhase

logger = logging.getLogger(__name__)

MAX_IDLE_ROLLOUTS = 10
"""Number of rollouts in a row without an effective group after which a warning is logged."""

# In smaller groups equal rewards are likely by chance; 8 is the smallest group size of the recipes.
_SMALL_GROUP = 8


class RolloutCounts(NamedTuple):
    """The numbers that are kept of a rollout; keeping the completions would fill the memory."""

    num_completions: int
    num_unknown: int
    """Completions with an unknown reward."""

    num_truncated: int
    accuracies: tuple[float, float] | None
    """Smallest and largest known accuracy; None without one."""

    group_size: int

    has_form: bool | None
    """Whether any completion has the form that the rewards read; None when no score shows it."""

    @classmethod
    def of(cls, phase: RolloutPhase) -> "RolloutCounts":
        """Return the counts of the completions (P, G) of this rank."""
        accuracy = phase.scores.parts["accuracy"]  # (P, G), NaN where it is unknown
        known = accuracy[~accuracy.isnan()]
        return cls(
            num_completions=phase.rewards.numel(),
            num_unknown=int((~phase.is_known).sum()),
            num_truncated=int(phase.is_truncated.sum()),
            accuracies=(known.min().item(), known.max().item()) if len(known) else None,
            group_size=phase.rewards.shape[1],
            has_form=has_form(phase),
        )


class IdleRollouts:
    """Counts rollouts in a row without an effective group, and logs one warning per run.

    ``MissingForm`` warns earlier when no completion has the form that the rewards read.
    """

    def __init__(self) -> None:
        """Start without rollouts."""
        self._in_a_row: list[RolloutCounts] = []
        self._has_warned = False
        self._missing_form = MissingForm()

    def add(self, phase: RolloutPhase, *, is_idle: bool) -> None:
        """Count a rollout.

        Args:
            phase: the scored completions (P, G) of this rank.
            is_idle: whether no rank has an effective group.
        """
        self._missing_form.add(phase)
        if self._has_warned:
            return
        # One effective group on any rank ends the row.
        self._in_a_row = [*self._in_a_row, RolloutCounts.of(phase)] if is_idle else []
        if len(self._in_a_row) >= MAX_IDLE_ROLLOUTS:
            self._has_warned = True
            logger.warning(
                "NOTHING IS LEARNT: none of the last %d rollouts had a group with different rewards. Likely: %s.",
                MAX_IDLE_ROLLOUTS,
                "; ".join(likely_reasons(self._in_a_row)),
            )


def likely_reasons(rollouts: Sequence[RolloutCounts]) -> list[str]:
    """Return the likely reasons why the groups of these rollouts are not effective, from their scores."""
    num_completions = sum(counts.num_completions for counts in rollouts)
    unknown = sum(counts.num_unknown for counts in rollouts) / num_completions
    truncated = sum(counts.num_truncated for counts in rollouts) / num_completions
    accuracies = [accuracy for counts in rollouts for accuracy in counts.accuracies or ()]
    reasons: list[str] = []
    if unknown > 0.5:
        reasons.append(
            f"{unknown:.0%} of the rewards are unknown, because a reward part fails: see its first failure in this "
            "log, and rollout/failed_NAME"
        )
    if truncated > 0.5:
        reasons.append(
            f"{truncated:.0%} of the completions are cut at the token limit: raise model.sampling.max_new_tokens"
        )
    if all(counts.has_form is False for counts in rollouts):
        reasons.append(
            "no completion had the form that the rewards read: ask for it in data.reading.template, or first train on "
            "demonstrations that have it"
        )
    # Without the form every answer is wrong, so this reason is given only when the form exists.
    elif accuracies and max(accuracies) <= 0.0:
        reasons.append(
            "no answer was right: the form of the answers is not the one that the accuracy reward reads, or the "
            "problems are too hard; read some completions beside their answers"
        )
    if accuracies and min(accuracies) >= 1.0:
        reasons.append("every answer was right: the problems are too easy")
    group_size = rollouts[-1].group_size
    if group_size < _SMALL_GROUP:
        reasons.append(
            f"model.sampling.group_size is {group_size}, and so few completions of a prompt seldom differ in reward"
        )
    return reasons or [
        "the rule rewards of the completions of each prompt are equal, or within model.advantage.tolerance"
    ]
