"""Reads numbers in words exactly: "twenty-one", "two thirds", "二十五", "三分之二", "百分之五"."""

import re
from fractions import Fraction

_SIMPLE = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_PLURALS = {"halves": 2} | {f"{part}s": number for part, number in _PARTS.items() if part != "half"}
_LONGEST = 16  # words of a number

_WORD = rf"(?:{'|'.join([*_SIMPLE, 'hundred', *_SCALES, *_PARTS, *_PLURALS])})"
_LEADING = re.compile(rf"(?:(?:minus|negative) )?{_WORD}(?:(?:-| and | ){_WORD})*(?![\w-])", re.IGNORECASE)

_CHINESE_DIGITS = {sign: digit for digit, sign in enumerate("零一二三四五六七八九")} | {"两": 2}
_CHINESE_STEPS = {"十": 10, "百": 100, "千": 1000}
_CHINESE = re.compile(r"负?[零一二两三四五六七八九十百千万亿点]+")
# A Chinese number at the start of a longer text must be followed by one of these: 三角形 is a triangle.
_MEASURE_WORDS = re.compile(
    r"(?P<number>[零一二两三四五六七八九十百千万亿]+)(?P<word>[个只条本名人次种位张支棵辆颗件])"
)


def number_in_words(text: str) -> Fraction | None:
    """Return the number that the whole text is, in English or Chinese words; None for other texts."""
    if re.match(r"[A-Za-z]", text):
        return _english(text.lower().replace("-", " ").split())
    if "分之" in text:
        below, above = text.split("分之", 1)
        bottom, top = (Fraction(100) if below == "百" else _chinese(below)), _chinese(above)
        return top / bottom if top is not None and bottom else None
    return _chinese(text)


def with_digits(text: str) -> str:
    """Return a text whose leading number in words is in digits: "three apples" is "3 apples"."""
    if found := _MEASURE_WORDS.fullmatch(text):
        number = _chinese(found["number"])
        return text if number is None else f"{number}{found['word']}"
    found = _LEADING.match(text)
    number = number_in_words(found[0]) if found else None
    return text if found is None or number is None else f"{number}{text[found.end() :]}"


def _english(words: list[str]) -> Fraction | None:
    if not words or len(words) > _LONGEST:
        return None
    if words[0] in ("minus", "negative"):
        number = _english(words[1:]) if len(words) > 1 and words[1] not in ("minus", "negative") else None
        return None if number is None else -number
    if words == ["half"]:
        return Fraction(1, 2)
    bottom = _PARTS.get(words[-1]) or _PLURALS.get(words[-1])
    if bottom is None:
        return _whole(words)
    # "two and a half" would need the article; "twenty third" is an ordinal and no fraction.
    top = _whole(words[:-1])
    is_one = top == 1
    return Fraction(top, bottom) if top is not None and is_one == (words[-1] in _PARTS) else None


def _whole(words: list[str]) -> Fraction | None:
    """Return a whole number; each scale is smaller than the one before it, each part fits below its scale."""
    total, part, last, largest = 0, 0, 1000, max(_SCALES.values()) * 1000
    seen = False
    for position, word in enumerate(words):
        if word == "and" and position and words[position - 1] == "hundred" and position + 1 < len(words):
            continue
        if word in _SIMPLE:
            size = _SIMPLE[word]
            # "twenty one" is a number, "one twenty" and "two three" are none.
            if (size and size >= last) or (size == 0 and len(words) > 1):
                return None
            part, last = part + size, 10 if size >= 20 else 1
        elif word == "hundred" and 0 < part < 10 and seen:
            part, last = part * 100, 100
        elif word in _SCALES and part and _SCALES[word] < largest:
            total, part, last, largest = total + part * _SCALES[word], 0, 1000, _SCALES[word]
        else:
            return None
        seen = True
    return Fraction(total + part) if seen else None


def _chinese(text: str) -> Fraction | None:
    if not _CHINESE.fullmatch(text):
        return None
    sign, text = (-1, text[1:]) if text.startswith("负") else (1, text)
    whole, point, digits = text.partition("点")
    number = _chinese_whole(whole)
    if number is None or (point and not (digits and all(digit in _CHINESE_DIGITS for digit in digits))):
        return None
    decimals = "".join(str(_CHINESE_DIGITS[digit]) for digit in digits)
    return sign * (Fraction(number) + Fraction(int(decimals or 0), 10 ** len(decimals)))


def _chinese_whole(text: str) -> int | None:
    for name, scale in (("亿", 10**8), ("万", 10**4)):
        if name in text:
            above, _, below = text.partition(name)
            first, second = _chinese_whole(above), _chinese_whole(below.lstrip("零")) if below else 0
            return first * scale + second if first and second is not None and second < scale else None
    total, digit, last = 0, None, 10_000
    for sign in text:
        if sign in _CHINESE_STEPS:
            step = _CHINESE_STEPS[sign]
            # In 十二 (12) the 一 before 十 is left out.
            if step >= last or digit == 0 or (digit is None and (total or step != 10)):
                return None
            total, digit, last = total + (1 if digit is None else digit) * step, None, step
        elif sign == "零" and total:
            continue
        elif digit is None and sign in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[sign]
        else:
            return None
    return total + (digit or 0) if text else None
