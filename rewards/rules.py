r"""Rule rewards: whether the answer is right, and whether the completion has the required form.

A completion is reasoning, ``</think>``, then the answer in ``\boxed{...}``. The opening ``<think>`` may be
missing, because the generation prompt often ends with it. A box inside the reasoning never counts: the reasoning may
still reach another answer.
"""

import logging
import math
from collections.abc import Sequence

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt
from rewards.answers.boxes import find_boxes
from rewards.answers.equivalence import Undecided, decide, same_answer
from rewards.answers.worker import ComparisonFailed, MathWorker

logger = logging.getLogger(__name__)

_OPEN, _CLOSE = "<think>", "</think>"


def extract_answer(text: str, *, needs_reasoning: bool = True) -> str | None:
    r"""Return the content of the last ``\boxed{...}`` after the reasoning.

    None when there is no box, when the reasoning is never closed, when a box is never closed, and when there are
    several boxes with different answers: two answers are no answer.

    Args:
        text: a decoded completion.
        needs_reasoning: a text without ``</think>`` is all reasoning. False: it is all answer, for models that do
            not reason first.
    """
    _, closed, answer_text = text.rpartition(_CLOSE)
    if (needs_reasoning and not closed) or _OPEN in answer_text:
        return None
    boxes = find_boxes(answer_text)
    if not boxes or boxes[-1] is None:
        return None
    last = boxes[-1]
    # same_answer returns None where it cannot decide: that counts as another answer.
    if all(box is not None and same_answer(last, box) for box in set(boxes) - {last}):
        return last.strip() or None
    return None


class AccuracyReward:
    """1.0 for the right answer, 0.0 otherwise; None when the prompt has no known answer.

    Most comparisons are decided in microseconds by ``same_answer``. The rest is sent to a worker process that can be
    killed; a comparison that fails there scores NaN, which ``WeightedReward`` counts as a failure.
    """

    def __init__(self, needs_reasoning: bool = True, timeout_seconds: float = 5.0) -> None:
        """Keep the settings; the worker process starts at the first comparison that needs it.

        Args:
            needs_reasoning: only a box after ``</think>`` counts. False for models that do not reason first.
            timeout_seconds: longest time for one symbolic comparison, above 0.
        """
        if not 0.0 < timeout_seconds < math.inf:
            raise ConfigError(
                f"timeout_seconds of the accuracy reward must be a finite number above 0, got {timeout_seconds}: "
                "without a limit one answer such as 9^9^9^9 stops the run without end."
            )
        self.needs_reasoning = needs_reasoning
        self.worker = MathWorker(timeout_seconds)

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion."""
        # Completions of one prompt often have the same answer; one pair must not take its timeout twice.
        verdicts: dict[tuple[str, str], float] = {}
        scores: list[float | None] = []
        for prompt, completion in zip(prompts, completions, strict=True):
            if prompt.answer is None or not prompt.answer.strip():
                scores.append(None)
                continue
            answer = extract_answer(completion.text, needs_reasoning=self.needs_reasoning)
            if answer is None:
                scores.append(0.0)
                continue
            pair = (prompt.answer, answer)
            if pair not in verdicts:
                verdicts[pair] = self._verdict(*pair)
            scores.append(verdicts[pair])
        return scores

    def _verdict(self, gold: str, answer: str) -> float:
        decision = decide(gold, answer)
        if not isinstance(decision, Undecided):
            return float(decision)
        try:
            return float(self.worker.compare(decision.gold, decision.answer))
        except ComparisonFailed as error:
            logger.info("Cannot compare the answer %r with %r: %s", answer, gold, error)
            return math.nan  # unknown, which is not wrong


class FormatReward:
    """1.0 for one non-empty closed reasoning and then one non-empty box, ended by the policy; else 0.0."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion."""
        del prompts
        # "length": a text cut at the limit may look complete, but the policy did not end it.
        return [float(c.finish_reason == "stop" and _is_well_formed(c.text)) for c in completions]


def _is_well_formed(text: str) -> bool:
    reasoning, closed, answer_text = text.strip().removeprefix(_OPEN).partition(_CLOSE)
    if not closed or not reasoning.strip() or find_boxes(reasoning):
        return False
    if _OPEN in reasoning or _OPEN in answer_text or _CLOSE in answer_text:
        return False
    boxes = find_boxes(answer_text)
    return len(boxes) == 1 and boxes[0] is not None and bool(boxes[0].strip())
