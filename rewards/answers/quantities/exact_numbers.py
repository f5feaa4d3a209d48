r"""Numbers as people write them, read exactly: 1,200 and 1/2, 50% and 3e8, 0.\overline{3}, 1.2 million, twelve."""

import re
from fractions import Fraction

from rewards.answers.quantities.number_words import number_in_words

# Largest exponent: 1e999999999 would fill the memory with digits.
_LARGEST_EXPONENT = 400

# Thousands may be separated by commas or by spaces, but not by both.
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)"
_SIGNED = rf"[+-]? ?{_DECIMAL}"
_TIMES_TEN = r" ?(?:\\times|\\cdot|\*|x) ?10 ?\^ ?"
_SCIENTIFIC = re.compile(
    rf"(?P<mantissa>{_SIGNED})"
    rf"(?:[eE](?P<e>[+-]?[0-9]+)|{_TIMES_TEN}(?:\{{ ?(?P<braced>[+-]? ?[0-9]+) ?\}}|(?P<bare>[+-]?[0-9]+)))?"
)
_FRACTION = re.compile(
    rf"(?P<sign>[+-]?) ?(?:\\frac ?\{{ ?(?P<top>{_SIGNED}) ?\}} ?\{{ ?(?P<bottom>{_SIGNED}) ?\}}"
    r"|\\frac ?(?P<top_digit>[0-9]) ?(?P<bottom_digit>[0-9])"
    rf"|(?P<left>{_DECIMAL}) ?/ ?(?P<right>{_SIGNED}))"
)
_MIXED = re.compile(
    r"(?P<sign>[+-]?) ?(?P<whole>[0-9]+)(?: ?\\frac ?\{ ?(?P<top>[0-9]+) ?\} ?\{ ?(?P<bottom>[0-9]+) ?\}"
    r"| ?\\frac ?(?P<top_digit>[0-9]) ?(?P<bottom_digit>[0-9])| (?P<left>[0-9]+) ?/ ?(?P<right>[0-9]+))"
)
_REPEATING = re.compile(
    r"(?P<sign>[+-]?) ?(?P<whole>[0-9]+)\.(?P<fixed>[0-9]{0,60})(?:\\overline ?\{ ?(?P<line>[0-9]{1,60}) ?\}"
    r"|\((?P<round>[0-9]{1,60})\)"
    r"|\\dot ?\{? ?(?P<first>[0-9]) ?\}?(?:(?P<middle>[0-9]{0,60})\\dot ?\{? ?(?P<last>[0-9]) ?\}?)?)"
)
_COUNTS = {
    "百": 100, "千": 1000, "万": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8, "dozen": 12,
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12,
}  # fmt: skip
_COUNTED = re.compile(rf"(.*[0-9]) ?({'|'.join(sorted(_COUNTS, key=len, reverse=True))})")


def exact_number(text: str) -> Fraction | None:
    """Return the number that the whole text stands for, or None; a percent sign divides by a hundred."""
    # Fractions and not floats: 0.1 + 0.2 must equal 0.3, and 0.33 must not equal 1/3.
    body = text.strip()
    if body.endswith("%"):
        return _times(exact_number(body[:-1]) if not body.endswith("%%") else None, Fraction(1, 100))
    while body.startswith("(") and body.endswith(")") and body.count("(") == 1:
        body = body[1:-1].strip()
    for pattern, read in (
        (_SCIENTIFIC, _scientific),
        (_FRACTION, _fraction),
        (_MIXED, _mixed),
        (_REPEATING, _repeating),
    ):
        if found := pattern.fullmatch(body):
            return read(found)
    if found := _COUNTED.fullmatch(body):
        return _times(exact_number(found[1]), Fraction(_COUNTS[found[2]]))
    return number_in_words(body)


def _times(number: Fraction | None, factor: Fraction) -> Fraction | None:
    return None if number is None else number * factor


def _scientific(found: re.Match[str]) -> Fraction | None:
    exponent = int((found["e"] or found["braced"] or found["bare"] or "0").replace(" ", ""))
    # A number whose exponent is out of range cannot be compared here.
    return _decimal(found["mantissa"]) * Fraction(10) ** exponent if abs(exponent) <= _LARGEST_EXPONENT else None


def _fraction(found: re.Match[str]) -> Fraction | None:
    top = _decimal(found["top"] or found["top_digit"] or found["left"])
    bottom = _decimal(found["bottom"] or found["bottom_digit"] or found["right"])
    return _signed(found, top / bottom) if bottom else None


def _mixed(found: re.Match[str]) -> Fraction | None:
    top = int(found["top"] or found["top_digit"] or found["left"])
    bottom = int(found["bottom"] or found["bottom_digit"] or found["right"])
    # 3 5/2 is no mixed number, because the fraction of a mixed number is below 1.
    return _signed(found, int(found["whole"]) + Fraction(top, bottom)) if bottom > top else None


def _repeating(found: re.Match[str]) -> Fraction:
    period = found["line"] or found["round"] or f"{found['first']}{found['middle'] or ''}{found['last'] or ''}"
    tail = Fraction(int(period), 10 ** len(period) - 1) / 10 ** len(found["fixed"])
    return _signed(found, Fraction(f"{found['whole']}.{found['fixed'] or 0}") + tail)


def _signed(found: re.Match[str], size: Fraction) -> Fraction:
    return -size if found["sign"] == "-" else size


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", ""))
