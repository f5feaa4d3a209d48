"""Checks whether a gold answer can be read, when data are read and not during training."""

from collections.abc import Sequence

from rewards.answers.boxes import find_boxes
from rewards.answers.choices import letters_in, split_choice
from rewards.answers.equivalence import MAX_CHARACTERS, Compare, Expressions, judge_quickly
from rewards.answers.expressions import is_balanced, is_mathematics
from rewards.answers.quantities.exact_numbers import exact_number
from rewards.answers.quantities.units import split_unit
from rewards.answers.ranges import read_range, split_relation, without_builder
from rewards.answers.reasons import Reason, Unknown
from rewards.answers.spelling import clean, comparison_key
from rewards.answers.structure import read_matrix, read_sequence, split_equation, split_top

_NOTHING = frozenset({"none", "nan", "null", "n/a", "na", "nil", "unknown", "?", "-", "[]", "{}", "see solution"})


def gold_problem(answer: str, choices: Sequence[str] | None = None, *, compare: Compare | None = None) -> str | None:
    """Return why no answer can be compared with this gold, as the end of a sentence; None for a good gold.

    Args:
        answer: the gold as the data have it.
        choices: texts of the options; None where there are none.
        compare: reads mathematics, see ``Verifier.gold_problems``; None: only checks that need no worker process are
            made.

    Raises:
        Unknown: when ``compare`` raises it for another reason than an unreadable gold.
    """
    if len(answer) > MAX_CHARACTERS:
        return f"has {len(answer)} characters, more than {MAX_CHARACTERS}"
    text = clean(answer)
    if not text or text.lower() in _NOTHING:
        return f"is no answer: {answer[:40]!r}"
    if len({box for box in find_boxes(answer) if box}) > 1:
        return "has several boxes"
    if choices:
        return _choice_problem(text, choices)
    if not is_balanced(text):
        return "has braces that are not balanced"
    return _unread(text, compare) if compare is not None else None


def _choice_problem(text: str, choices: Sequence[str]) -> str | None:
    num_options = len(choices)
    is_named = split_choice(text, num_options=num_options) or any(
        comparison_key(text) == comparison_key(clean(choice)) for choice in choices
    )
    letters = letters_in(text)
    last = chr(ord("A") + num_options - 1)
    if is_named or (letters and max(letters) <= last):
        return None
    if letters or split_choice(text):
        return f"names the option {text[:40]}, but there are {num_options} choices, A to {last}"
    # None: only computer algebra can decide, so the gold may be good.
    verdicts = [judge_quickly(choice, text) for choice in choices]
    is_value = any(verdict is None or verdict.is_right for verdict in verdicts)
    return None if is_value else f"is none of the {num_options} choices: {text[:40]!r}"


def _unread(text: str, compare: Compare) -> str | None:
    for expression in gold_expressions(text):
        try:
            compare(Expressions("value", (expression,), ("0",)))
        except Unknown as unknown:
            if unknown.reason is not Reason.UNREADABLE_GOLD:
                raise
            return f"cannot be read as mathematics: {expression[:80]!r}"
    return None


def gold_expressions(text: str, depth: int = 0) -> list[str]:
    """Return the parts of a cleaned gold that only symbolic comparison can read."""
    text = without_builder(text)
    parts = _parts(text) if depth < 6 else [text]
    if len(parts) > 1:
        return [expression for part in parts for expression in gold_expressions(part, depth + 1)]
    body = split_unit(text).body.rstrip("%").strip()
    return [body] if body and exact_number(body) is None and is_mathematics(body) else []


def _parts(text: str) -> list[str]:
    if matrix := read_matrix(text):
        return [cell for row in matrix for cell in row]
    if (split_relation(text)[1] or "\\cup" in text) and (ranges := read_range(text)):
        return [end for interval in ranges for end in interval.parts]
    if sequence := read_sequence(text):
        return sequence.parts
    sides = split_equation(text)
    return sides if len(sides) > 1 else split_top(text, frozenset([":", "\\approx"]))
