r"""Answers to yes/no questions: what a completion says, and the scores of many completions.

    precision = true yes / said yes          recall = true yes / questions where yes is right
    F1 = harmonic mean of both               yes-ratio = said yes / all
    accuracy = right / all

"Yes" is the positive class, as in POPE (arXiv:2305.10355). The yes-ratio counts what was *said*: the share of right
answers that are yes is a constant of the data set and does not depend on the policy.

The polling rule is POPE's: in the first sentence, "no" or "not" means no, anything else yes. Differs from the authors'
script in how words are split: the script splits at blanks, so it reads ``No!``, ``NO``, ``\boxed{no}``, "no" before a
line break and "isn't" as a yes. A text without yes or no, also an empty text, is a yes by default; such answers are
marked so that they can be counted.

Shapes: four counts in the order true yes, false yes, true no, false no; ``...`` may be splits.
"""

import re
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Contractions such as "isn't" are one word, with either apostrophe.
_WORD = re.compile(r"[a-z]+(?:['\u2019][a-z]+)?")
_REASONING_END = "</think>"


class PolledAnswer(NamedTuple):
    """What a completion says by POPE's rule."""

    is_yes: bool
    is_stated: bool
    """False for a yes by default: the first sentence holds neither a yes nor a no."""


class YesNoScores(NamedTuple):
    """Scores in [0, 1]; 0 where the divisor is 0."""

    accuracy: Float[Tensor, "..."]
    precision: Float[Tensor, "..."]
    recall: Float[Tensor, "..."]
    f1: Float[Tensor, "..."]
    yes_ratio: Float[Tensor, "..."]
    """Share of completions that say yes."""


def answer_part(text: str) -> str:
    """Return the text after the reasoning; the whole text when there is no closing ``</think>``."""
    # Without the end mark, rpartition puts the whole text into its last part.
    return text.rpartition(_REASONING_END)[2]


def poll_answer(text: str) -> PolledAnswer:
    """Read a completion by POPE's rule, from the first sentence after the reasoning."""
    words = _words(answer_part(text).strip().split(".")[0])
    if any(word in ("no", "not") or word.endswith(("n't", "n\u2019t")) for word in words):
        return PolledAnswer(is_yes=False, is_stated=True)
    return PolledAnswer(is_yes=True, is_stated="yes" in words)


def stated_answer(text: str) -> bool | None:
    """Return True for yes and False for no when it is the first word, or when only one of both occurs; else None."""
    words = _words(answer_part(text))
    if words and words[0] in ("yes", "no"):
        return words[0] == "yes"
    says_yes, says_no = "yes" in words, "no" in words
    return says_yes if says_yes != says_no else None


def answer_counts(is_yes: Bool[Tensor, " N"], is_truly_yes: Bool[Tensor, " N"]) -> Int[Tensor, "4"]:
    """Return the counts of true yes, false yes, true no and false no."""
    outcomes = (is_yes & is_truly_yes, is_yes & ~is_truly_yes, ~is_yes & ~is_truly_yes, ~is_yes & is_truly_yes)
    return torch.stack([outcome.sum() for outcome in outcomes])


def yes_no_scores(counts: Int[Tensor, "... 4"]) -> YesNoScores:
    """Return the scores of each row of counts."""
    true_yes, false_yes, true_no, false_no = counts.unbind(-1)
    said_yes, num_answers = true_yes + false_yes, counts.sum(-1)
    return YesNoScores(
        accuracy=_ratio(true_yes + true_no, num_answers),
        precision=_ratio(true_yes, said_yes),
        recall=_ratio(true_yes, true_yes + false_no),
        # F1 = 2PR / (P + R), written in counts, so that a precision or a recall of 0 is no divisor.
        f1=_ratio(2 * true_yes, said_yes + true_yes + false_no),
        yes_ratio=_ratio(said_yes, num_answers),
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _ratio(part: Int[Tensor, "..."], whole: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    # Where the divisor is 0 the dividend is 0 too; dividing by 1 instead gives 0 and not NaN.
    return part / whole.clamp_min(1)
