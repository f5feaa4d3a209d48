"""Answers with colons: "3:4" is a ratio, "3:30" a time of day."""

import re
from collections.abc import Callable
from fractions import Fraction

from rewards.answers.quantities.exact_numbers import exact_number
from rewards.answers.reasons import Reason
from rewards.answers.structure import split_top

_CLOCK = re.compile(
    r"(?P<hour>[01]?[0-9]|2[0-4])"
    # "4 pm" and "4 o'clock" are full hours.
    r"(?: ?: ?(?P<minute>[0-5][0-9])(?: ?: ?(?P<second>[0-5][0-9]))?| ?o'clock|(?= ?[ap]\.? ?m\.?$))"
    r"(?: ?(?P<half>[ap])\.? ?m\.?)?",
    re.IGNORECASE,
)
_MAX_TERMS = 6


def compare_colons(gold: str, answer: str, is_same: Callable[[str, str], bool]) -> Reason | None:
    """Decide times and ratios; None when neither text is a time or a ratio.

    A gold such as 3:30 is a time, so 1:10 is another one although the ratios are equal. A ratio equals its multiples
    and, where it has two terms, its fraction.

    Args:
        gold: the right answer, cleaned.
        answer: the answer, cleaned.
        is_same: compares two expressions.
    """
    time, other_time = _CLOCK.fullmatch(gold), _CLOCK.fullmatch(answer)
    if time and (other_time or ":" in answer):
        return Reason.RIGHT_NUMBER if other_time and _same_time(time, other_time) else Reason.WRONG
    terms, others = _terms(gold), _terms(answer)
    if terms is None and others is None:
        return None
    if terms and others:
        return Reason.RIGHT_PARTS if _proportional(terms, others, is_same) else Reason.WRONG
    ratio = terms or others
    assert ratio is not None
    value = answer if terms else gold
    is_fraction = "/" in value or "\\frac" in value
    # A number that looks like a time of day is a ratio only where the other is written as a fraction.
    if len(ratio) != 2 or other_time or not (is_fraction or (exact_number(value) is not None and not time)):
        return Reason.WRONG
    fraction = rf"\frac{{{ratio[0]}}}{{{ratio[1]}}}"
    return Reason.RIGHT_PARTS if is_same(fraction if terms else gold, answer if terms else fraction) else Reason.WRONG


def _same_time(one: re.Match[str], other: re.Match[str]) -> bool:
    seconds = [_seconds(time) for time in (one, other)]
    if bool(one["half"]) != bool(other["half"]):
        # A time may leave out am or pm, but 15:30 implies pm: so "3:30 pm" equals both 3:30 and 15:30.
        with_half, without = (one, other) if one["half"] else (other, one)
        return _seconds(without) in (_seconds(with_half), _seconds(with_half, keeps_half=False))
    return seconds[0] == seconds[1]


def _seconds(time: re.Match[str], *, keeps_half: bool = True) -> int:
    hour = int(time["hour"])
    if time["half"] and keeps_half:
        hour = hour % 12 + (12 if time["half"].lower() == "p" else 0)
    return 3600 * hour + 60 * int(time["minute"] or 0) + int(time["second"] or 0)


def _terms(text: str) -> list[str] | None:
    pieces = split_top(text, frozenset(":"))
    has_words = re.search(r"(?<![A-Za-z\\])[A-Za-z]{2,}", text) is not None
    is_ratio = 1 < len(pieces) <= _MAX_TERMS and all(pieces) and not has_words and "," not in text and "=" not in text
    return pieces if is_ratio else None


def _proportional(one: list[str], other: list[str], is_same: Callable[[str, str], bool]) -> bool:
    if len(one) != len(other):
        return False
    numbers, others = [exact_number(term) for term in one], [exact_number(term) for term in other]
    if None not in numbers and None not in others:
        # a : b = c : d where a d = b c.
        first, first_other = numbers[0] or Fraction(0), others[0] or Fraction(0)
        pairs = zip(numbers, others, strict=True)
        return bool(first) and bool(first_other) and all((a or 0) * first_other == (b or 0) * first for a, b in pairs)
    return all(
        is_same(rf"({a}) \cdot ({other[0]})", rf"({b}) \cdot ({one[0]})")
        for a, b in zip(one[1:], other[1:], strict=True)
    )
