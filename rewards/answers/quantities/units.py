"""Splits an answer into a number and its unit or noun: "12 cm", "$5", "12 students", "1 h 30 min".

Case matters in symbols (MW, mW) and does not matter in words (Meters). A symbol of one letter is a unit only if a space
comes before it, or if LaTeX sets it in another style: "5m" is a product, "5 m" a length.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.answers.quantities.exact_numbers import exact_number
from rewards.answers.quantities.number_words import with_digits
from rewards.answers.quantities.unit_table import CURRENCY_SIGNS, SYMBOLS, WORDS, Unit
from rewards.answers.spelling import DOLLAR, LATEX_COMMAND


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number or an expression, with its unit or noun."""

    body: str
    """The number, or an expression."""

    unit: Unit | None = None
    """The unit; None without one, or where it is a noun."""

    noun: str = ""
    """What is counted, such as students, in the singular where English forms it with an s."""

    @property
    def is_bare(self) -> bool:
        """Whether the quantity has neither unit nor noun."""
        return self.unit is None and not self.noun


_LONGEST = 48  # characters of a unit
# Pounds are money beside pounds sterling, and cents are those of the other currency.
_ALSO_MONEY = {"pound": SYMBOLS["GBP"], "cent": SYMBOLS["EUR"].times(Unit((), Fraction(1, 100)))}
_OHM = re.compile(r"\\(?:Omega|ohm)(?![A-Za-z])")
_SPLIT_OHM = re.compile(r"(?<![A-Za-z])([kMGm]) (?=Ω)")
_DEGREE_OF_SCALE = re.compile(r"degrees? ([CF])(?:elsius|ahrenheit)?(?![A-Za-z])", re.IGNORECASE)
_FRACTION_OF_UNITS = re.compile(r" ?\\frac ?\{ ?(?P<top>[^{}]+?) ?\} ?\{ ?(?P<bottom>(?:[^{}]|\{[^{}]*\})+?) ?\}$")
_ANGLE_FUNCTION = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_MICRO = re.compile(r"\\mu ?(?=[A-Za-z])|\\mu(?![A-Za-z])")
_NAME = r"°[CF]|°|[A-Za-zμΩÅ]+|[\u4e00-\u9fff]{1,4}"
_FACTOR = re.compile(
    rf" ?(?P<operator>/|\\cdot|\*|per\b|每)? ?(?P<open>\(?)"
    rf"(?P<prefix>(?:square|sq|cubic|cu)\.? |平方|立方)?(?P<name>{_NAME})\.?"
    r"(?: ?\^ ?\{? ?(?P<power>-?[1-9]) ?\}?| (?P<word>squared|cubed))?(?P<close>\)?)"
)
_UNIT_START = re.compile(rf"(?<=[0-9}})\]%\w ])(?=(?: ?)(?:{_NAME}))|(?= )")
_PRICE = re.compile(
    rf"(?P<minus>-? ?)(?:US|HK|A|C)? ?(?P<sign>[{DOLLAR}€£¥₹]|Rs\.?|USD|EUR|RMB) ?(?P<amount>-?[0-9.].*)", re.DOTALL
)
_PRICE_BEHIND = re.compile(rf"(?P<minus>)(?P<amount>-?[0-9][0-9.,]*) ?(?P<sign>[{DOLLAR}€£¥₹])")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z]")
_PIECE = re.compile(r"([0-9][0-9.,]*) ?([A-Za-z\u4e00-\u9fff]+|°|''|')[ ,]*(?:and )?")
_ANGLE_PIECES = {"'": Fraction(1, 60), "''": Fraction(1, 3600)}
# Words after a number that change its value or its meaning, so that they are no nouns.
_NO_NOUNS = frozenset(
    re.findall(
        "[a-z]+",
        "and or not to of in is by than more less least most about only no mod base half halves thirds "
        "quarter quarters times plus minus squared cubed percent point hundred thousand million billion "
        "trillion dozen dozens pair pairs factorial over up from if when for but so maybe approximately "
        "degrees degree th st nd rd pi sin cos tan log ln option options choice choices odd even wrong "
        "incorrect false true except without below above under negative "
        "each per apiece every",
    )
)
_FRACTION_WORD = re.compile(r"(?!month)[a-z]{2,}ths?")
_NOUN = re.compile(r"(?P<number>-?[0-9][0-9.,/]*|.*\}) (?P<noun>[A-Za-z][a-z-]{2,}(?: [A-Za-z-]+){0,2})")
_CHINESE_NOUN = re.compile(r"(?P<number>-?[0-9][0-9.,/]*) ?(?P<noun>[\u4e00-\u9fff]{1,6})")
_NO_CHINESE = re.compile("[百千万亿倍成折方半多余几以上下左右约不非或和与至到第对双打分之负正]")
_GENERIC = frozenset({"unit", "square unit", "sq unit", "cubic unit", "cu unit"})


def split_unit(text: str) -> Quantity:
    """Return the quantity of a cleaned text; its unit is None when no known unit is found."""
    spelled = _SPLIT_OHM.sub(r"\1", _MICRO.sub("μ", _OHM.sub("Ω", text)))
    spelled = _FRACTION_OF_UNITS.sub(_with_slash, _DEGREE_OF_SCALE.sub(lambda scale: f"°{scale[1].upper()}", spelled))
    for read in (_price, _compound, _measured, _counted):
        if (quantity := read(with_digits(spelled))) is not None:
            return quantity
    return Quantity(text)


def _with_slash(found: re.Match[str]) -> str:
    are_units = found.start() > 0 and unit_of(found["top"]) is not None and unit_of(found["bottom"]) is not None
    return f" {found['top']}/({found['bottom']})" if are_units else found[0]


def split_both(gold: str, answer: str) -> tuple[Quantity, Quantity]:
    """Return the quantities of a gold and an answer; a unit of one side may say what the other side means."""
    one, other = split_unit(gold), split_unit(answer)
    return _beside(one, gold, other), _beside(other, answer, one)


def _beside(quantity: Quantity, text: str, other: Quantity) -> Quantity:
    if other.unit is None:
        return quantity
    # Beside degrees a bare multiple of pi is in radians.
    if other.unit == SYMBOLS["°"] and quantity.is_bare and "\\pi" in quantity.body and "\\pi" not in other.body:
        return Quantity(quantity.body, SYMBOLS["rad"])
    for word, meant in _ALSO_MONEY.items():
        if quantity.unit is not None and word in text.lower() and other.unit.dimension == meant.dimension:
            return Quantity(quantity.body, meant)
    return quantity


def unit_of(text: str) -> Unit | None:
    """Return the unit that a whole text names: "km/h", "kg m^{-3}", "square centimeters"; None for anything else."""
    text = text.strip()
    unit, position, divides, depth = Unit((), Fraction(1)), 0, False, 0
    if not text or len(text) > _LONGEST:
        return None
    while position < len(text):
        found = _FACTOR.match(text, position)
        named = _named(found["name"]) if found else None
        if not found or named is None or (position == 0 and found["operator"]):
            return None
        divides = found["operator"] in ("/", "per", "每") or (divides and depth > 0)
        depth += len(found["open"]) - len(found["close"])
        power = int(found["power"] or {"squared": 2, "cubed": 3}.get(found["word"] or "", 1))
        power *= {"平方": 2, "立方": 3, "sq": 2, "cu": 3}.get((found["prefix"] or "")[:2], 1)
        if abs(power) > 9 or depth not in (0, 1):
            return None
        factor = named.to_the(-power if divides else power)
        unit = factor if position == 0 else unit.times(factor)
        position = found.end()
    return unit if depth == 0 else None


def _named(name: str) -> Unit | None:
    return SYMBOLS.get(name) or (WORDS.get(name.lower()) if len(name) > 1 else WORDS.get(name))


def _price(text: str) -> Quantity | None:
    found = _PRICE.fullmatch(text) or _PRICE_BEHIND.fullmatch(text)
    if not found or (found["minus"].strip() and found["amount"].startswith("-")):
        return None
    sign = {"R": "₹", "U": "$", "E": "€", DOLLAR: "$"}.get(found["sign"][0], found["sign"])
    name = "CNY" if sign == "RMB" else CURRENCY_SIGNS[sign]
    amount = split_unit(found["amount"])
    # "$12.50 USD" names the currency twice.
    if not amount.is_bare and amount.unit != SYMBOLS[name]:
        return None
    return Quantity(found["minus"].strip() + amount.body, SYMBOLS[name])


def _compound(text: str) -> Quantity | None:
    """Read "1 h 30 min", "5 ft 6 in" and 30°15'."""
    pieces = _PIECE.findall(text)
    if len(pieces) < 2 or len(pieces) > 4 or _PIECE.sub("", text).strip():
        return None
    total = Fraction(0)
    units = [_piece_unit(name, text) for _, name in pieces]
    first = units[0]
    for (amount, _), unit in zip(pieces, units, strict=True):
        number = exact_number(amount.rstrip(","))
        if unit is None or first is None or number is None or unit.dimension != first.dimension or unit.offset:
            return None
        total += number * unit.size / first.size
    # Units must go from large to small, else the text is a list.
    sizes = [unit.size for unit in units if unit is not None]
    return Quantity(str(total), first) if sizes == sorted(set(sizes), reverse=True) else None


def _piece_unit(name: str, text: str) -> Unit | None:
    if name in _ANGLE_PIECES:
        degree = SYMBOLS["°"]
        # 5'6'' without a degree is a height in feet and inches.
        return Unit(degree.dimension, degree.size * _ANGLE_PIECES[name], 1) if "°" in text else None
    return SYMBOLS["min"] if name == "分" else _named(name)


def _measured(text: str) -> Quantity | None:
    # Tried from the left, because the longest unit is the right one: "km/h" and not "h".
    start = max(1, len(text) - _LONGEST)
    for found in _UNIT_START.finditer(text, start):
        body, rest = text[: found.start()], text[found.start() :]
        if not body.strip() or not rest.strip() or (body[-1].isalpha() and rest[0].isalpha()):
            continue
        unit = unit_of(rest)
        if unit is not None and _may_have_unit(body, rest):
            return Quantity(body.strip(), unit)
    return None


def _may_have_unit(body: str, rest: str) -> bool:
    name = rest.strip()
    # The m of "x + 5 m" and of "5m" may be a variable.
    if re.match(r"[A-Za-z](?![A-Za-z])", name) and not rest.startswith(" ") and not body.endswith((" ", "}", ")")):
        return False
    # The degrees of \sin 30° belong to its argument.
    if name.startswith("°") and _ANGLE_FUNCTION.search(body):
        return False
    # The e of 6.6e-34 is no variable.
    letters = exact_number(body) is None and _VARIABLE.search(LATEX_COMMAND.sub("", body))
    if letters and (len(re.split(r"[ /^]", name)[0]) < 2 or not rest.startswith(" ")):
        return False
    return bool(re.search(r"[0-9]|\\[a-z]|[A-Za-z]", body)) and not body.rstrip().endswith(
        ("+", "-", "*", "/", "=", "^", "_")
    )


def _counted(text: str) -> Quantity | None:
    """Read "12 students" and "12 个"."""
    if found := _CHINESE_NOUN.fullmatch(text):
        return None if _NO_CHINESE.search(found["noun"]) else Quantity(found["number"].strip(), noun=found["noun"])
    found = _NOUN.fullmatch(text)
    if not found or exact_number(found["number"].strip()) is None:
        return None
    words = found["noun"].lower().split()
    if any(word in _NO_NOUNS or _FRACTION_WORD.fullmatch(word) for word in words):
        return None
    noun = " ".join([*words[:-1], _singular(words[-1])])
    return Quantity(found["number"].strip(), noun="" if noun in _GENERIC else noun)


def _singular(word: str) -> str:
    for ending, singular in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith(("ss", "us")):
            return word[: -len(ending)] + singular
    return {"people": "person", "men": "man", "women": "woman", "children": "child"}.get(word, word)
