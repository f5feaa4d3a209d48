"""Compares equations, chains of equations, inequalities, and the ranges that inequalities describe."""

import re

from rewards.answers.expressions import has_anagrams, is_mathematics
from rewards.answers.lists import ListJudge, Values
from rewards.answers.quantities.exact_numbers import exact_number
from rewards.answers.ranges import joins_otherwise, read_range, split_relation
from rewards.answers.reasons import Reason
from rewards.answers.structure import MAX_PARTS, Sequence, is_label, read_sequence, same_label, split_equation
from rewards.answers.symbols import Decide


class RelationJudge:
    """Compares values with an equals sign or a sign of inequality."""

    def __init__(self, values: Values, lists: ListJudge, decide: Decide) -> None:
        """Take the functions that compare values, parts and expressions."""
        self.values, self.lists, self.decide = values, lists, decide

    def equations(self, gold: str, answer: str, depth: int) -> Reason | None:
        """Return the verdict on equations and chains of equations; None when neither text is one."""
        sides, others = split_equation(gold), split_equation(answer)
        if len(sides) == len(others) == 1 or not all((*sides, *others)):
            return None if len(sides) == len(others) == 1 else Reason.UNREADABLE_ANSWER
        has_label, other_has_label = (len(s) > 1 and is_label(s[0]) for s in (sides, others))
        if len(others) == 1:
            # A gold without a label is a whole equation, and one side alone does not equal it.
            verdicts = [self.values(side, answer, depth + 1) for side in sides[1:]] if has_label else [Reason.WRONG]
            return next((verdict for verdict in verdicts if not verdict.is_right), verdicts[-1])
        if len(sides) == 1 or (has_label and other_has_label and same_label(sides[0], others[0])):
            # Every link of a chain must hold: "x = 11 = 12" does not equal 12.
            values = others
            while len(values) > 1 and is_label(values[0]):
                values = values[1:]  # "AB = CD = 12" names two
            return self._chain(sides[-1], values, depth)
        if len(sides) == len(others) == 2:
            return self._two_equations("equation", (sides[0], sides[1]), (others[0], others[1]))
        return Reason.WRONG

    def _chain(self, gold: str, values: list[str], depth: int) -> Reason:
        if len(values) > MAX_PARTS:
            return Reason.UNREADABLE_ANSWER
        verdict = Reason.WRONG
        # The last value is tried first, because a chain ends with its result.
        for value in reversed(values):
            verdict = self.values(gold, value, depth + 1)
            if not verdict.is_right:
                return verdict
        return Reason.RIGHT_NUMBER if verdict is Reason.RIGHT_TEXT else verdict

    def _two_equations(self, kind: str, gold: tuple[str, str], answer: tuple[str, str]) -> Reason:
        texts = (*gold, *answer)
        if not all(is_mathematics(text) or exact_number(text) is not None for text in texts):
            return Reason.WRONG
        if any("\\angle" in text or "\\triangle" in text for text in texts) or has_anagrams(
            " ".join(gold), " ".join(answer)
        ):
            return Reason.WRONG
        return Reason.RIGHT_SYMBOLS if self.decide(kind, gold, answer, None) else Reason.WRONG

    def ranges(self, gold: str, answer: str, depth: int) -> Reason | None:
        """Return the verdict on inequalities and unions; None when neither text is one."""
        (sides, signs), (others, other_signs) = split_relation(gold), split_relation(answer)
        if not signs and not other_signs and "\\cup" not in gold + answer:
            return None
        ranges, other_ranges = read_range(_unlabelled(gold)), read_range(_unlabelled(answer))
        if ranges is not None and other_ranges is not None:
            names = [{s for s in texts if len(s) < 12 and re.fullmatch(r"[A-Za-z]\w*", s)} for texts in (sides, others)]
            if (signs and other_signs and names[0] != names[1]) or len(ranges) != len(other_ranges):
                return Reason.WRONG
            return self._matched_ranges(ranges, other_ranges, depth)
        if len(signs) == len(other_signs) == 1 and "!=" not in signs + other_signs:
            (sign,), (other_sign,) = signs, other_signs
            if ("=" in sign) != ("=" in other_sign):
                return Reason.WRONG
            gold_sides = (sides[0], sides[1]) if sign.startswith("<") else (sides[1], sides[0])
            answer_sides = (others[0], others[1]) if other_sign.startswith("<") else (others[1], others[0])
            return self._two_equations("inequality", gold_sides, answer_sides)
        return self._lists_of_relations(gold, answer, depth)

    def _lists_of_relations(self, gold: str, answer: str, depth: int) -> Reason:
        values, others = read_sequence(gold), read_sequence(answer)
        if joins_otherwise(gold, answer):
            return Reason.WRONG
        if values and others and not values.brackets and not others.brackets:
            return self.lists.two_lists(values, others, depth)
        return Reason.WRONG

    def _matched_ranges(self, gold: list[Sequence], answer: list[Sequence], depth: int) -> Reason:
        left = list(answer)
        for interval in gold:
            match = next(
                (
                    other
                    for other in left
                    if other.brackets == interval.brackets
                    and self.lists.all_parts(interval.parts, other.parts, depth).is_right
                ),
                None,
            )
            if match is None:
                return Reason.WRONG
            left.remove(match)
        return Reason.RIGHT_PARTS


def _unlabelled(text: str) -> str:
    sides = split_equation(text)
    return sides[1] if len(sides) == 2 and is_label(sides[0]) else text
