r"""Inequalities and the ranges that they mean: "x > 3" is (3, \infty), "1 < x <= 2" is (1, 2]."""

import math
import re
from fractions import Fraction

from rewards.answers.quantities.exact_numbers import exact_number
from rewards.answers.structure import SYMBOL, Sequence, read_sequence, split_top, tokens_with_depth

_RELATIONS = {"<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!="}
_VARIABLE = re.compile(SYMBOL)
_REALS = re.compile(
    r"(?:[a-z] ?\\in ?)?(?:\\mathbb ?\{? ?R ?\}?|(?:[Aa]ll |the )?real numbers|[Aa]ll reals|全体实数|实数集?R?)"
)
_AND = re.compile(r"(?<![A-Za-z])and(?![A-Za-z])|[且]|\\(?:land|wedge|cap)(?![A-Za-z])")
_OR = re.compile(r"(?<![A-Za-z])or(?![A-Za-z])|或")
_ALL_BUT = re.compile(
    r"(?:[a-z] ?\\in ?)?\\mathbb ?\{? ?R ?\}? ?(?:\\setminus|\\backslash|-) ?\\\{ ?(?P<point>[^,{}]+) ?\\\}"
    r"|(?:[Aa]ll )?real numbers except (?:for )?(?:[a-z] ?= ?)?(?P<said>[^,]+)"
)
_SET_BUILDER = re.compile(
    r"\\\{ ?([A-Za-z])(?: ?\\in ?(?:\\mathbb\{R\}|R))? ?(?:\||\\mid|:) ?(?P<condition>.+)\\\}", re.DOTALL
)


def split_relation(text: str) -> tuple[list[str], list[str]]:
    """Return the sides of an inequality and its relation signs: "0 < x <= 2" has three sides and two signs."""
    sides, signs = [""], []
    for token, depth in tokens_with_depth(text):
        if depth == 0 and token in _RELATIONS:
            signs.append(_RELATIONS[token])
            sides.append("")
        else:
            sides[-1] += token
    return [side.strip() for side in sides], signs


def without_builder(text: str) -> str:
    r"""Return the condition of a set such as \{x | x > 3\}, and \mathbb{R} as an interval; other texts unchanged."""
    if _REALS.fullmatch(text):
        return r"(-\infty,\infty)"
    found = _SET_BUILDER.fullmatch(text)
    return found["condition"].strip() if found else text


def read_range(text: str) -> list[Sequence] | None:
    r"""Return the intervals of a range: "x > 3" is (3, \infty), "x \ne 2" is two intervals; None for other texts."""
    pieces = split_top(text, frozenset(["\\cup"]))
    if len(pieces) == 1:
        pieces = [piece.strip() for piece in _OR.split(text)]
    intervals: list[Sequence] = []
    for piece in pieces:
        found = _interval_of(piece)
        if found is None:
            return None
        intervals += found
    return intervals


def joins_otherwise(one: str, other: str) -> bool:
    """Return whether one text joins its conditions by "and" and the other by "or"."""
    return any(_AND.search(a) and _OR.search(b) for a, b in ((one, other), (other, one)))


def _interval_of(text: str) -> list[Sequence] | None:
    conditions = _AND.split(text)
    if len(conditions) > 1:
        return _where_all_hold([condition.strip() for condition in conditions])
    if found := _ALL_BUT.fullmatch(text):
        return _all_but(found["point"] or found["said"])
    sides, signs = split_relation(text)
    if not signs:
        outer = read_sequence(text)
        return (
            [outer] if outer is not None and outer.brackets not in ("", "{}", "<>") and len(outer.parts) == 2 else None
        )
    if len(signs) == 1:
        return _half_line(sides, signs[0])
    if len(signs) != 2 or not _VARIABLE.fullmatch(sides[1]) or "!=" in signs:
        return None
    low, _, high = sides if signs[0].startswith("<") else sides[::-1]
    if signs[0][0] != signs[1][0]:
        return None
    first, last = signs if signs[0].startswith("<") else signs[::-1]
    return [Sequence(("[" if "=" in first else "(") + ("]" if "=" in last else ")"), [low, high])]


def _half_line(sides: list[str], sign: str) -> list[Sequence] | None:
    if not _VARIABLE.fullmatch(sides[0]):
        if not _VARIABLE.fullmatch(sides[1]):
            return None
        sides, sign = sides[::-1], sign.translate(str.maketrans("<>", "><"))
    end = sides[1]
    if re.search(rf"(?<![A-Za-z\\]){re.escape(sides[0])}(?![A-Za-z])", end):
        return None  # x > 2x + 1 is not solved for x
    if sign == "!=":
        return _all_but(end)
    if sign.startswith("<"):
        return [Sequence("(]" if "=" in sign else "()", [r"-\infty", end])]
    return [Sequence("[)" if "=" in sign else "()", [end, r"\infty"])]


def _all_but(point: str) -> list[Sequence]:
    return [Sequence("()", [r"-\infty", point]), Sequence("()", [point, r"\infty"])]


def _where_all_hold(conditions: list[str]) -> list[Sequence] | None:
    """Return the intervals that conditions on one variable have in common; None where an end is no plain number."""
    variables = [{side for side in split_relation(text)[0] if _VARIABLE.fullmatch(side)} for text in conditions]
    ranges = [_interval_of(text) for text in conditions]
    if len(conditions) > 4 or len(set.union(*variables)) != 1 or None in ranges:
        return None
    common, *others = [intervals for intervals in ranges if intervals is not None]
    for intervals in others:
        met = [_overlap(one, other) for one in common for other in intervals]
        if None in met:
            return None
        common = [interval for shared in met if shared for interval in shared]
    return common or None


def _overlap(one: Sequence, other: Sequence) -> list[Sequence] | None:
    """Return the interval that two intervals share, if they share one; None where an end is no plain number."""
    pairs: list[tuple[Sequence, Fraction | float, Fraction | float]] = []
    for interval in (one, other):
        low, high = (_end(part) for part in interval.parts)
        if low is None or high is None:
            return None
        pairs.append((interval, low, high))
    # Of two equal ends the open one holds.
    first = max(pairs, key=lambda pair: (pair[1], pair[0].brackets[0] == "("))
    last = min(pairs, key=lambda pair: (pair[2], pair[0].brackets[1] != ")"))
    if not first[1] < last[2]:
        return []
    return [Sequence(first[0].brackets[0] + last[0].brackets[1], [first[0].parts[0], last[0].parts[1]])]


def _end(text: str) -> Fraction | float | None:
    infinite = {r"\infty": math.inf, r"+\infty": math.inf, r"-\infty": -math.inf}
    return infinite.get(text.replace(" ", ""), exact_number(text))
