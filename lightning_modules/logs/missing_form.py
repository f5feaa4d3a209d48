"""Warns when no completion of the first rollouts has the form that the rewards read.

Shapes: P prompts, G completions per prompt.
"""

import logging
from collections import Counter

from rewards.answers.reasons import Reason
from rollouts import RolloutPhase

logger = logging.getLogger(__name__)

NUM_ROLLOUTS = 3
"""Number of rollouts that are checked; own choice: hundreds of completions, minutes at real size."""

_WITHOUT_ANSWER = {
    Reason.NO_BOX: "no \\boxed{}",
    Reason.BOX_NOT_CLOSED: "a box that is not closed",
    Reason.REASONING_NOT_CLOSED: "reasoning that does not end with </think>",
}


class MissingForm:
    """Checks the first rollouts of a run, and logs at most one warning."""

    def __init__(self) -> None:
        """Start without rollouts."""
        self._num_rollouts = 0
        self._num_completions = 0
        self._num_truncated = 0
        self._reasons: Counter[str] = Counter()

    def add(self, phase: RolloutPhase) -> None:
        """Check a rollout.

        Args:
            phase: the scored completions (P, G) of this rank.
        """
        if self._num_rollouts >= NUM_ROLLOUTS:
            return
        if has_form(phase) is not False:
            # One completion with the form is enough: reward makes it more frequent.
            self._num_rollouts = NUM_ROLLOUTS
            return
        self._num_rollouts += 1
        self._num_completions += phase.rewards.numel()
        self._num_truncated += int(phase.is_truncated.sum())
        self._reasons.update(reason for reason in phase.scores.reasons.get("accuracy", ()) if reason)
        if self._num_rollouts == NUM_ROLLOUTS:
            logger.warning("%s", self._sentence())

    def _sentence(self) -> str:
        seen = [f"{self._reasons[reason]} have {words}" for reason, words in _WITHOUT_ANSWER.items()]
        seen = [words for words in seen if not words.startswith("0 ")]
        if self._num_truncated:
            seen.append(f"{self._num_truncated} are cut at model.sampling.max_new_tokens")
        found = f" ({', '.join(seen)})" if seen else ""
        return (
            f"THE FORM IS NEVER WRITTEN: none of the {self._num_completions} completions of the first {NUM_ROLLOUTS} "
            f"rollouts has the form that the rewards read{found}. A form that is never sampled is never learnt: ask "
            "for it in data.reading.template (docs/data.md), leave it room, or first train on demonstrations of it."
        )


def has_form(phase: RolloutPhase) -> bool | None:
    """Return whether any completion (P, G) has the form that the rewards read; None when no score shows it."""
    form = phase.scores.parts.get("format")
    if form is not None and not form.isnan().all():
        return bool((form > 0).any())
    reasons = [reason for reason in phase.scores.reasons.get("accuracy", ()) if reason]
    return any(reason not in _WITHOUT_ANSWER for reason in reasons) if reasons else None
