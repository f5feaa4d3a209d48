"""Splits a unit of measurement off an answer: "12 cm" is 12 with the unit cm."""

import re

from rewards.answers.spelling import LATEX_COMMAND

# Each line: the unit, then its other spellings. Rare units are left out on purpose: with a word that is no unit,
# an answer is text, and text equals only the same text.
_SPELLINGS = """
mm millimeter millimeters millimetre millimetres
cm centimeter centimeters centimetre centimetres
dm decimeter decimeters decimetre decimetres
m meter meters metre metres
km kilometer kilometers kilometre kilometres
in inch inches
ft foot feet
yd yard yards
mi mile miles
mg milligram milligrams
g gram grams
kg kilogram kilograms
lb lbs pound pounds
ml milliliter milliliters millilitre millilitres
L liter liters litre litres
ms millisecond milliseconds
s sec second seconds
min minute minutes
h hr hour hours
day days
week weeks
month months
year years
mph
N newton newtons
J joule joules
kj
W watt watts
kw
V volt volts
pa
hz
° degree degrees
°c
°f
dollar dollars
cent cents
unit units
"""
_UNIT_OF = {spelling: line.split()[0] for line in _SPELLINGS.strip().splitlines() for spelling in line.split()}


def _any_of(names: list[str]) -> str:
    # The longest first: else "min" would match the beginning of "minutes".
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


_NAME = (
    rf"(?:(?i:{_any_of([n for n in _UNIT_OF if len(n) > 1])})"
    # One letter may be a variable, so its case matters and "5m" is no length, but "5 m" is.
    rf"|{_any_of([n for n in _UNIT_OF if len(n) == 1])})"
)
_POWER = r"(?: ?\^ ?\{?[23]\}?)?"
_UNIT = re.compile(rf"(?:(?i:square|sq|cubic|cu) )?{_NAME}{_POWER}(?: ?/ ?{_NAME}{_POWER})*$")
_PREFIX = re.compile(r"(?i:(square|sq)|cubic|cu) (.+)")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z]")


def split_unit(text: str) -> tuple[str, str]:
    """Return the text before a trailing unit and the unit in one spelling; "" when there is no unit.

    Only a text without variables can have a unit: the m of "x + 5 m" may be another variable.
    """
    found = _UNIT.search(text)
    if not found:
        return text, ""
    body, unit = text[: found.start()], found.group()
    # A letter right behind a number, as in "5m", is a variable; behind a brace or parenthesis it may be a unit.
    is_attached = not body.endswith((" ", "}", ")"))
    if not body.strip() or _VARIABLE.search(LATEX_COMMAND.sub("", body)):
        return text, ""
    if is_attached and re.match(r"[A-Za-z](?![A-Za-z])", unit):
        return text, ""
    return body.strip(), _in_one_spelling(unit)


def _in_one_spelling(unit: str) -> str:
    prefix = _PREFIX.fullmatch(unit)
    if prefix:
        unit = prefix[2] + ("2" if prefix[1] else "3")
    named = re.sub(_NAME, lambda name: _UNIT_OF[name[0] if len(name[0]) == 1 else name[0].casefold()], unit)
    return re.sub(r"[ ^{}]", "", named)
