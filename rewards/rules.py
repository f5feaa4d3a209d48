r"""Rule rewards: whether the answer is right, and whether the completion has the required form.

A completion is reasoning, ``</think>``, then the answer in ``\boxed{...}``. The opening ``<think>`` may be
missing, because the generation prompt often ends with it. A box inside the reasoning never counts: the reasoning may
still reach another answer.
"""

import math
import re
from collections.abc import Sequence

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt
from rewards.answers.boxes import find_boxes
from rewards.answers.reading import CLOSE, OPEN, read_answer
from rewards.answers.reasons import Reason
from rewards.answers.verifier import Question, Verifier
from rewards.outcomes import ReasonedScore


class AccuracyReward:
    """1.0 for the right answer, 0.0 otherwise; None when the prompt has no known answer.

    NaN when the verifier cannot decide, because the comparison hung or the gold cannot be read; ``WeightedReward``
    counts this as a failure. Every score carries its reason, one of ``Reason``. A prompt's ``choices`` and
    ``tolerance`` are used where it has them. docs/verifier.md explains which answers count as right.
    """

    def __init__(
        self,
        needs_reasoning: bool = True,
        timeout_seconds: float = 5.0,
        budget_seconds: float = 60.0,
        num_workers: int | None = None,
        memory_megabytes: int = 1024,
    ) -> None:
        """Keep the settings; the worker processes start at the first comparison that needs them.

        Args:
            needs_reasoning: only a box after ``</think>`` counts. False for models that do not reason first.
            timeout_seconds: longest processor time for the symbolic comparison of one answer in seconds, above 0
                (math-verify's own default); on the wall three times that.
            budget_seconds: longest time on the wall for all comparisons of one rollout on one rank in seconds, above 0;
                answers that are left then are unknown (own choice: below the time of sampling at real size).
            num_workers: processes that compare, at least 1; null: one for each core of the rank, at most 8.
            memory_megabytes: largest address space of one comparison in MiB, at least 256 (own choice: four times what
                a comparison of common answers takes).
        """
        for name, seconds in (("timeout_seconds", timeout_seconds), ("budget_seconds", budget_seconds)):
            if not 0.0 < seconds < math.inf:
                raise ConfigError(
                    f"{name} of the accuracy reward must be a finite number above 0, got {seconds}: "
                    "without a limit one answer such as 9^9^9^9 stops the run without end."
                )
        if num_workers is not None and num_workers < 1:
            raise ConfigError(f"num_workers of the accuracy reward must be null or at least 1, got {num_workers}.")
        if memory_megabytes < 256:
            raise ConfigError(
                f"memory_megabytes of the accuracy reward must be at least 256, got {memory_megabytes}: the parser "
                "alone takes half of that."
            )
        self.needs_reasoning = needs_reasoning
        self.verifier = Verifier(timeout_seconds, budget_seconds, num_workers, memory_megabytes)

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion."""
        read = [self._questions(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
        asked = [question for questions in read if isinstance(questions, list) for question in questions]
        verdicts = iter(self.verifier.judge_all(asked))
        reasons = [
            _best([next(verdicts) for _ in questions]) if isinstance(questions, list) else questions
            for questions in read
        ]
        return [None if reason is None else ReasonedScore(reason.score, str(reason)) for reason in reasons]

    def _questions(self, prompt: Prompt, completion: Completion) -> list[Question] | Reason | None:
        """Return a question for the verifier for each spelling of the gold, or the verdict when none is needed."""
        if prompt.answer is None or not prompt.answer.strip():
            return None
        answer = read_answer(completion.text, needs_reasoning=self.needs_reasoning)
        if isinstance(answer, Reason):
            return answer
        golds = (prompt.answer, *prompt.aliases)
        return [Question(gold, answer, prompt.choices, prompt.tolerance) for gold in golds]


def _best(reasons: Sequence[Reason]) -> Reason:
    """Return the verdict on one of several spellings of the gold: right, else unknown, else the first one's."""
    right = next((reason for reason in reasons if reason.is_right), None)
    unknown = next((reason for reason in reasons if reason.is_unknown), None)
    return right or unknown or reasons[0]


class FormatReward:
    """1.0 for one non-empty closed reasoning and then one box with an answer, ended by the policy; else 0.0.

    Reasoning that only repeats the prompt does not count, and neither does the placeholder of an instruction as an
    answer.
    """

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion."""
        # "length": a text cut at the limit may look complete, but the policy did not end it.
        return [
            float(completion.finish_reason == "stop" and _is_well_formed(completion.text, prompt.question))
            for prompt, completion in zip(prompts, completions, strict=True)
        ]


# Also as a model may write them to hide a second block: "< /Think >".
_ANY_TAG = re.compile(r"<\s{0,9}/?\s{0,9}think(?:ing)?\s{0,9}/?>", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"\W*(?:(?:your|the|final|correct|answer|here|goes)\W*)+"
    r"|\W*\$?\{?(?:FINAL_?ANSWER|LETTER|ANSWER)\}?\$?\W*|[\s._\u2026?*\\-]*",
    re.IGNORECASE,
)


def _is_well_formed(text: str, question: str) -> bool:
    reasoning, closed, answer_text = text.strip().removeprefix(OPEN).partition(CLOSE)
    if not closed or _ANY_TAG.search(reasoning) or _ANY_TAG.search(answer_text) or find_boxes(reasoning):
        return False
    words = _words(reasoning)
    # Reasoning that repeats the prompt or its instruction. A single word does not count: the question may contain it.
    if not words or (len(words) > 2 and f" {' '.join(words)} " in f" {' '.join(_words(question))} "):
        return False
    boxes = find_boxes(answer_text)
    if len(boxes) != 1 or boxes[0] is None or not boxes[0].strip():
        return False
    return len(boxes[0]) > 200 or not _PLACEHOLDER.fullmatch(boxes[0])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
