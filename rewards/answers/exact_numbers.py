"""Numbers as people write them, read exactly: 1,200 and 1/2, 50% and 3e8."""

import re
from fractions import Fraction

# 1e999999999 would fill the memory with digits.
_LARGEST_EXPONENT = 400

# Thousands may be separated by commas or by spaces, but not by both.
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
_SIGNED = rf"[+-]? ?{_DECIMAL}"
_TIMES_TEN = r" ?(?:\\times|\\cdot|\*) ?10 ?\^ ?"
_SCIENTIFIC = re.compile(
    rf"(?P<mantissa>{_SIGNED})"
    rf"(?:[eE](?P<e>[+-]?[0-9]+)|{_TIMES_TEN}(?:\{{ ?(?P<braced>[+-]? ?[0-9]+) ?\}}|(?P<bare>[+-]?[0-9]+)))?"
)
_FRACTION = re.compile(
    rf"(?P<sign>[+-]?) ?(?:\\frac ?\{{ ?(?P<top>{_SIGNED}) ?\}} ?\{{ ?(?P<bottom>{_SIGNED}) ?\}}"
    rf"|\\frac ?(?P<top_digit>[0-9]) ?(?P<bottom_digit>[0-9])"
    rf"|(?P<left>{_DECIMAL}) ?/ ?(?P<right>{_SIGNED}))"
)
_MIXED = re.compile(
    r"(?P<sign>[+-]?) ?(?P<whole>[0-9]+)(?: ?\\frac ?\{ ?(?P<top>[0-9]+) ?\} ?\{ ?(?P<bottom>[0-9]+) ?\}"
    r"| (?P<left>[0-9]+) ?/ ?(?P<right>[0-9]+))"
)


def exact_number(text: str) -> Fraction | None:
    """Return the number that the whole text stands for, or None; a percent sign divides by a hundred."""
    # Fractions and not floats: 0.1 + 0.2 must equal 0.3, and 0.33 must not equal 1/3.
    body = text.strip()
    if body.endswith("%"):
        number = exact_number(body.rstrip("%"))
        return None if number is None else number / 100
    for pattern, read in ((_SCIENTIFIC, _scientific), (_FRACTION, _fraction), (_MIXED, _mixed)):
        if found := pattern.fullmatch(body):
            return read(found)
    return None


def _scientific(found: re.Match[str]) -> Fraction | None:
    exponent = int((found["e"] or found["braced"] or found["bare"] or "0").replace(" ", ""))
    # An exponent out of range is no number that could be compared here.
    return _decimal(found["mantissa"]) * Fraction(10) ** exponent if abs(exponent) <= _LARGEST_EXPONENT else None


def _fraction(found: re.Match[str]) -> Fraction | None:
    top = _decimal(found["top"] or found["top_digit"] or found["left"])
    bottom = _decimal(found["bottom"] or found["bottom_digit"] or found["right"])
    return _signed(found, top / bottom) if bottom else None


def _mixed(found: re.Match[str]) -> Fraction | None:
    top, bottom = int(found["top"] or found["left"]), int(found["bottom"] or found["right"])
    return _signed(found, int(found["whole"]) + Fraction(top, bottom)) if bottom else None


def _signed(found: re.Match[str], size: Fraction) -> Fraction:
    return -size if found["sign"] == "-" else size


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", ""))
