"""Answers to multiple-choice questions: the letter of an option, with or without the option's text."""

import re

# Ten options, A to J. A letter without "(" needs ")", "." or ":" behind it, or the end: else it may begin a word.
_CHOICE = re.compile(
    r"(?:(?i:option|choice|answer) ?:? ?)?"
    r"(?:\((?P<inside>[A-Ja-j])\)|(?P<bare>[A-Ja-j])(?:\)|[.:](?=[ 0-9\\-]|$)|$)) ?(?P<option>.*)"
)
_SECOND_CHOICE = re.compile(r"(?:or|and)\b|[,/&]|.*(?<![^ ,/])\(?[A-J](?:\)|[.:](?: |$))")


def split_choice(text: str) -> tuple[str, str] | None:
    """Return the letter and the option text of "B", "(B)", "B." or "B. 12 cm"; None for anything else."""
    found = _CHOICE.fullmatch(text)
    # "A or B" and "A, B" name two options, so they choose none.
    if not found or _SECOND_CHOICE.match(found["option"]):
        return None
    return (found["inside"] or found["bare"]).upper(), found["option"]
