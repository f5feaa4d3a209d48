r"""Finds the answer in a completion: the last box after the reasoning."""

from rewards.answers.boxes import find_boxes
from rewards.answers.equivalence import judge_quickly
from rewards.answers.reasons import Reason

OPEN, CLOSE = "<think>", "</think>"

# A completion with more different boxes than this is guessing, whatever the boxes hold.
_MAX_SPELLINGS = 8


def read_answer(text: str, *, needs_reasoning: bool = True) -> str | Reason:
    r"""Return the content of the last box after the reasoning, or why there is none.

    Several boxes count as one answer when they are equal without computer algebra. Different boxes give no answer.

    Args:
        text: a decoded completion.
        needs_reasoning: a text without ``</think>`` is all reasoning. False: it is all answer, for models that do
            not reason first.
    """
    _, closed, answer_text = text.rpartition(CLOSE)
    if (needs_reasoning and not closed) or OPEN in answer_text:
        return Reason.REASONING_NOT_CLOSED
    boxes = find_boxes(answer_text)
    if not boxes:
        return Reason.NO_BOX
    if None in boxes:
        return Reason.BOX_NOT_CLOSED
    last = boxes[-1] or ""
    others = {box for box in boxes if box is not None} - {last}
    if len(others) >= _MAX_SPELLINGS or not all(_is_same(last, box) for box in others):
        return Reason.SEVERAL_BOXES
    return last.strip() or Reason.NO_BOX


def _is_same(one: str, other: str) -> bool:
    verdict = judge_quickly(one, other)
    # None: only computer algebra could decide, so the boxes count as different.
    return verdict is not None and verdict.is_right
