"""Reads dates that name the month or begin with the year. A date such as 7/4/1776 is not read: it has two meanings."""

import re

from rewards.answers.reasons import Reason

_MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
]  # fmt: skip
_MONTH = "(?P<month>" + "|".join(rf"{name}|{name[:3]}\.?" for name in _MONTHS) + r"|sept\.?)"
_DAY = r"(?P<day>[0-3]?[0-9])(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[0-9]{4})"
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_MONTH} {_DAY}(?:,? {_YEAR})?",
        rf"(?:the )?{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR})?",
        rf"{_MONTH},? {_YEAR}(?P<day>)",
        rf"{_YEAR} ?(?P<sign>[-/.]) ?(?P<month>[01]?[0-9]) ?(?P=sign) ?(?P<day>[0-3]?[0-9])",
        rf"(?:{_YEAR} ?年 ?)?(?P<month>[01]?[0-9]) ?月 ?(?P<day>[0-3]?[0-9]) ?[日号]",
    )
]
_WEEKDAY = re.compile(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day,? ", re.IGNORECASE)


def compare_dates(gold: str, answer: str) -> Reason | None:
    """Decide two dates; None when one of the two is no date."""
    dates = [read_date(text) for text in (gold, answer)]
    if None in dates:
        return None
    return Reason.RIGHT_TEXT if dates[0] == dates[1] else Reason.WRONG


def read_date(text: str) -> tuple[int | None, int, int | None] | None:
    """Return year, month and day, with None for a missing part; None for texts that are no dates."""
    text = _WEEKDAY.sub("", text, count=1)
    found = next((found for form in _FORMS if (found := form.fullmatch(text))), None)
    if found is None:
        return None
    name = found["month"].lower()
    month = int(name) if name.isdigit() else 1 + next(i for i, full in enumerate(_MONTHS) if full[:3] == name[:3])
    day = int(found["day"]) if found["day"] else None
    if not 1 <= month <= 12 or (day is not None and not 1 <= day <= 31):
        return None
    return int(found["year"]) if found["year"] else None, month, day
