r"""Compares two values part by part: ratios, equations, ranges, lists, matrices, quantities, numbers.

Shapes of the judgement: a value is right for one reason; a value with parts is right when all its parts are.
"""

import re
from fractions import Fraction

from rewards.answers.expressions import has_anagrams, is_balanced, is_mathematics
from rewards.answers.lists import ListJudge
from rewards.answers.phrases import is_same_phrase
from rewards.answers.quantities.dates import compare_dates
from rewards.answers.quantities.exact_numbers import exact_number
from rewards.answers.quantities.times_and_ratios import compare_colons
from rewards.answers.quantities.units import Quantity, split_both, split_unit
from rewards.answers.ranges import without_builder
from rewards.answers.reasons import Reason, Unknown
from rewards.answers.relations import RelationJudge
from rewards.answers.spelling import LATEX_COMMAND, comparison_key
from rewards.answers.structure import is_label, sides_of_statement, split_equation, split_top
from rewards.answers.symbols import Decide

_MAX_DEPTH = 6  # lists in lists
_INSIDE = Fraction(10**6 - 1, 10**6)  # a bound itself is no rounding: 8 is not 7 cut off
_BASE = re.compile(
    r"(?P<digits>-?[0-9][0-9A-Za-z.]*) ?(?:_ ?\{? ?(?P<index>[0-9]{1,2}|[a-z]{3,7}) ?\}?|\(base (?P<base>[0-9]{1,2})\))"
)
_BASE_NAMES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
_FORMULA = re.compile(r"(?:[0-9(+=\\to>)-]*[A-Z][a-z]?[0-9()]*)+(?:\^[0-9]+[+-]|[+-])?")


class ValueJudge:
    """Compares cleaned values; raises ``Unknown`` where that is impossible."""

    def __init__(self, decide: Decide, tolerance: Fraction | None) -> None:
        """Take the function that compares expressions, and the tolerance of numbers."""
        self.decide, self.tolerance = decide, tolerance
        self.lists = ListJudge(self)
        self.relations = RelationJudge(self, self.lists, decide)

    def __call__(self, gold: str, answer: str, depth: int = 0) -> Reason:
        """Return the verdict."""
        if depth > _MAX_DEPTH:
            return Reason.UNREADABLE_ANSWER
        gold, answer = without_builder(gold), without_builder(answer)
        if comparison_key(gold) == comparison_key(answer) or is_same_phrase(gold, answer):
            return Reason.RIGHT_TEXT
        steps = (
            self._statements,
            self._dates,
            self._based,
            self._colons,
            self._approximated,
            self.lists,
            self.relations.equations,
            self.relations.ranges,
        )
        for step in steps:
            if (verdict := step(gold, answer, depth)) is not None:
                return verdict
        return self._quantities(*split_both(gold, answer))

    # --- forms ----------------------------------------------------------------------------------------------------

    def _statements(self, gold: str, answer: str, depth: int) -> Reason | None:
        r"""Decide "AB \parallel CD", whose sides may change places."""
        statements = sides_of_statement(gold), sides_of_statement(answer)
        if None in statements:
            return None
        return Reason.RIGHT_TEXT if statements[0] == statements[1] else Reason.WRONG

    def _dates(self, gold: str, answer: str, depth: int) -> Reason | None:
        return compare_dates(gold, answer)

    def _based(self, gold: str, answer: str, depth: int) -> Reason | None:
        r"""Decide numbers with a base, 101_2: the same digits in the same base."""
        keys = [_base_key(text) for text in (gold, answer)]
        if keys == [None, None]:
            return None
        return Reason.RIGHT_NUMBER if keys[0] == keys[1] else Reason.WRONG

    def _colons(self, gold: str, answer: str, depth: int) -> Reason | None:
        return compare_colons(gold, answer, lambda one, other: self(one, other, depth + 1).is_right)

    def _approximated(self, gold: str, answer: str, depth: int) -> Reason | None:
        r"""Decide "2\sqrt{3} \approx 3.46": right where one of the two is, if they belong together."""
        exact, *rounded = split_top(answer, frozenset(["\\approx"]))
        if not rounded or "\\approx" in gold:
            return None
        if not exact or is_label(exact):
            return self(gold, rounded[0], depth + 1) if len(rounded) == 1 else Reason.SEVERAL_ANSWERS
        value, (last, *others) = split_equation(exact)[-1], rounded
        number = exact_number(split_unit(last).body)
        if number is None or others:
            return Reason.UNREADABLE_ANSWER
        digits = len(split_unit(last).body.partition(".")[2].rstrip("%"))
        body, half_digit = split_unit(value).body, Fraction(1, 2 * 10**digits)
        # Rounded, or cut off, to the digits that are shown.
        cut_off = number + half_digit * (-1 if number < 0 else 1)
        if not is_mathematics(body) or not any(
            self.decide("value", (str(middle),), (body,), half_digit * _INSIDE) for middle in (number, cut_off)
        ):
            return Reason.WRONG
        verdict = self(gold, exact, depth + 1)
        return verdict if verdict.is_right else self(gold, last, depth + 1)

    # --- quantities and expressions -------------------------------------------------------------------------------

    def _quantities(self, gold: Quantity, answer: Quantity) -> Reason:
        if gold.is_bare and answer.is_bare:
            return self._numbers(gold.body, answer.body)
        if gold.unit is not None and answer.unit is not None:
            if gold.unit.dimension != answer.unit.dimension:
                return Reason.UNIT_DIFFERS
            body = answer.body
            if gold.unit != answer.unit:
                body = _converted(answer, gold)
            verdict = self._numbers(gold.body, body)
        elif gold.noun and answer.noun:
            # "marbles" may stand for "red marbles", but not for another noun.
            same_noun = gold.noun.split()[-1] == answer.noun.split()[-1] or comparison_key(gold.noun) == answer.noun
            verdict = self._numbers(gold.body, answer.body) if same_noun else Reason.UNIT_DIFFERS
        elif (gold.unit and answer.noun) or (gold.noun and answer.unit):
            return Reason.UNIT_UNKNOWN
        else:
            verdict = self._numbers(gold.body, answer.body)
        return Reason.RIGHT_UNIT if verdict in (Reason.RIGHT_NUMBER, Reason.RIGHT_TEXT) else verdict

    def _numbers(self, gold: str, answer: str) -> Reason:
        if comparison_key(gold) == comparison_key(answer):
            return Reason.RIGHT_TEXT
        number, other = exact_number(gold), exact_number(answer)
        if number is not None and other is not None:
            if number == other:
                return Reason.RIGHT_NUMBER
            is_near = self.tolerance is not None and abs(number - other) <= self.tolerance
            return Reason.RIGHT_TOLERANCE if is_near else Reason.WRONG
        if _is_formula(gold):
            if _formula_key(gold) == _formula_key(answer):
                return Reason.RIGHT_TEXT
            # A chemical formula with the charge of an ion is no mathematics.
            if _formula_key(gold)[-1] in "+-":
                return Reason.WRONG
        return self._expressions(gold, answer)

    def _expressions(self, gold: str, answer: str) -> Reason:
        gold, answer = _without_percent(gold), _without_percent(answer)
        # A gold that is text equals the same text only.
        if not is_mathematics(gold) and exact_number(gold) is None:
            return Reason.WRONG
        if not is_balanced(gold):
            raise Unknown(Reason.UNREADABLE_GOLD, "its braces are not balanced")
        if not is_balanced(answer) or (not is_mathematics(answer) and exact_number(answer) is None):
            return Reason.UNREADABLE_ANSWER
        if has_anagrams(gold, answer):
            return Reason.WRONG
        try:
            if self.decide("value", (gold,), (answer,), self.tolerance):
                return Reason.RIGHT_SYMBOLS
        except Unknown as unknown:
            if unknown.reason is Reason.UNREADABLE_ANSWER:
                return unknown.reason
            raise
        return Reason.WRONG


def _base_key(text: str) -> tuple[str, str] | None:
    found = _BASE.fullmatch(text)
    if not found:
        return None
    base = found["index"] or found["base"]
    return found["digits"].lstrip("0").upper(), _BASE_NAMES.get(base, base)


def _converted(answer: Quantity, gold: Quantity) -> str:
    """Return the number of an answer in the unit of the gold, as an expression."""
    assert answer.unit is not None
    assert gold.unit is not None
    ratio = answer.unit.size / gold.unit.size
    # A scale such as °C has another zero; the offsets of all other units are 0.
    shift = (answer.unit.offset - gold.unit.offset) / gold.unit.size
    power = answer.unit.pi_power - gold.unit.pi_power
    number = exact_number(answer.body)
    if number is not None and power == 0:
        return str(number * ratio + shift)
    pi = rf" \cdot \pi^{{{power}}}" if power else ""
    offset = f" + {_frac(shift)}" if shift else ""
    return rf"{_frac(ratio)} \cdot ({answer.body}){pi}{offset}"


def _frac(number: Fraction) -> str:
    return rf"\frac{{{number.numerator}}}{{{number.denominator}}}"


def _without_percent(text: str) -> str:
    return rf"\frac{{{text[:-1]}}}{{100}}" if text.endswith("%") and exact_number(text) is None else text


def _is_formula(text: str) -> bool:
    return _FORMULA.fullmatch(_formula_key(text)) is not None and re.search(r"[0-9+=>]", text) is not None


def _formula_key(text: str) -> str:
    r"""Return a chemical formula without the signs of its indices: H_2O is H2O, and CO is not Co."""
    text = LATEX_COMMAND.sub(lambda command: {"\\to": "=", "\\cdot": "."}.get(command[0], command[0]), text)
    # A single charge may be written without its "^"; in Fe2+ the 2 could be an index.
    return re.sub(r"(?<=[A-Za-z0-9)])\^(?=[+-]$)", "", re.sub(r"[ {}_]", "", text))
