"""Judges completions by this project's rules: the verifier, and the yes/no rules of hallucination benchmarks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.benchmarks import Judgement
from evaluation.scores import ScoredSample
from hallucination.yes_no import poll_answer, stated_answer
from rewards.answers import Question, Reason, Verifier, read_answer

NO_VERIFIER = "no_verifier"
SILENT = "silent"


@dataclass(frozen=True)
class Verdict:
    """A judge's verdict on one completion."""

    is_right: bool | None
    """Whether the completion is right; None: unknown."""

    reason: str


@dataclass(frozen=True)
class Agreement:
    """Agreement of two judges, over the completions that both could judge."""

    num_both: int
    num_same: int
    disagreements: tuple[int, ...]
    """Positions of completions with different verdicts."""

    @property
    def rate(self) -> float | None:
        """Share of equal verdicts; None without common verdicts."""
        return self.num_same / self.num_both if self.num_both else None


def project_verdicts(
    samples: Sequence[ScoredSample], judgement: Judgement | None, *, needs_reasoning: bool = False
) -> list[Verdict]:
    """Return this project's verdict on each completion.

    Args:
        samples: completions with their golds.
        judgement: rule for judging; None: there is no rule.
        needs_reasoning: whether only a box after ``</think>`` counts.
    """
    if judgement is None:
        return [Verdict(None, NO_VERIFIER)] * len(samples)
    if judgement != "answer":
        return [_yes_no_verdict(sample, judgement) for sample in samples]
    return _verified(samples, needs_reasoning=needs_reasoning)


def agreement(first: Sequence[bool | None], second: Sequence[bool | None]) -> Agreement:
    """Compare two judges, completion by completion."""
    both = [i for i, pair in enumerate(zip(first, second, strict=True)) if None not in pair]
    differ = tuple(i for i in both if first[i] != second[i])
    return Agreement(len(both), len(both) - len(differ), differ)


def why_they_differ(
    evalscope: Sequence[bool | None], project: Sequence[Verdict], disagreements: Sequence[int]
) -> Mapping[str, int]:
    """Count the disagreements by kind: the judge that alone calls the completion right, and the project's reason."""
    kinds = Counter(
        f"{'evalscope' if evalscope[i] else 'project'} alone says right ({project[i].reason})" for i in disagreements
    )
    return dict(kinds.most_common())


def _yes_no_verdict(sample: ScoredSample, judgement: Judgement) -> Verdict:
    gold = (sample.answer or "").strip().lower()
    if gold not in ("yes", "no"):
        return Verdict(None, str(Reason.UNREADABLE_GOLD))
    if judgement == "stated":
        said = stated_answer(sample.completion)
        if said is None:
            return Verdict(False, SILENT)
    else:
        polled = poll_answer(sample.completion)
        said = polled.is_yes
        # By POPE's rule an answer without yes or no counts as yes.
        if not polled.is_stated:
            return Verdict(said == (gold == "yes"), SILENT)
    is_right = said == (gold == "yes")
    return Verdict(is_right, "right" if is_right else "wrong")


def _verified(samples: Sequence[ScoredSample], *, needs_reasoning: bool) -> list[Verdict]:
    # For each sample: a question for the verifier, a reason when the completion has no answer, None without a gold.
    read: list[Question | Reason | None] = []
    for sample in samples:
        answer = read_answer(sample.completion, needs_reasoning=needs_reasoning)
        if sample.answer is None or not sample.answer.strip():
            read.append(None)
        else:
            read.append(
                answer if isinstance(answer, Reason) else Question(sample.answer, answer, None, sample.tolerance)
            )
    verifier = Verifier(num_workers=1)
    try:
        judged = iter(verifier.judge_all([question for question in read if isinstance(question, Question)]))
    finally:
        verifier.close()
    verdicts: list[Verdict] = []
    for question in read:
        # ``judged`` has only the questions, in the order of the samples.
        reason = next(judged) if isinstance(question, Question) else question
        if reason is None:
            verdicts.append(Verdict(None, "no_gold"))
        else:
            verdicts.append(Verdict(None if reason.is_unknown else reason.is_right, str(reason)))
    return verdicts
