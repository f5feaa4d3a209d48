"""Compares lists, tuples, sets, intervals and matrices part by part."""

from collections.abc import Callable

from rewards.answers.ranges import split_relation
from rewards.answers.reasons import Reason
from rewards.answers.structure import (
    MAX_PARTS,
    Sequence,
    is_label,
    read_cases,
    read_matrix,
    read_rows,
    read_sequence,
    split_equation,
)

Values = Callable[[str, str, int], Reason]
"""Compares two values. Arguments: gold, answer, depth of the list that contains them."""


class ListJudge:
    """Compares values that have parts."""

    def __init__(self, values: Values) -> None:
        """Take the function that compares the parts."""
        self.values = values

    def __call__(self, gold: str, answer: str, depth: int) -> Reason | None:
        """Return the verdict; None when neither text is a list or a matrix."""
        cases, other_cases = read_cases(gold), read_cases(answer)
        if cases or other_cases:
            return self._cases(cases, other_cases, gold, answer, depth)
        matrix, other_matrix = read_matrix(gold), read_matrix(answer)
        # Lists in a list are a matrix only beside one: by themselves they may be points or intervals.
        if bool(matrix) != bool(other_matrix):
            matrix, other_matrix = matrix or read_rows(gold), other_matrix or read_rows(answer)
        if matrix and other_matrix:
            return self._matrices(matrix, other_matrix, depth)
        if matrix or other_matrix:
            return self._vectors(matrix, other_matrix, read_sequence(answer if matrix else gold), depth)
        if any(split_relation(text)[1] or "\\cup" in text for text in (gold, answer)):
            return None
        values, others = read_sequence(gold), read_sequence(answer)
        if values is None and others is None:
            return None
        if values is None or others is None:
            return self._list_and_value(gold, answer, values, others, depth)
        return self.two_lists(values, others, depth)

    def _list_and_value(
        self, gold: str, answer: str, values: Sequence | None, others: Sequence | None, depth: int
    ) -> Reason | None:
        """Decide a list and a value: they differ, but a set of one value equals the value; labels are allowed."""
        present = values or others
        assert present is not None
        if present.brackets == "{}" and len(present.parts) == 1:
            return self.values(values.parts[0] if values else gold, others.parts[0] if others else answer, depth + 1)
        # "D = (0, 1)" is an equation, which is one value.
        if len(split_equation(answer if values else gold)) > 1 and present.brackets:
            return None
        if values and len(sides := split_equation(answer)) == 2 and is_label(sides[0]):
            return self.values(gold, sides[1], depth + 1)
        return Reason.SEVERAL_ANSWERS if others and not others.is_ordered else Reason.WRONG

    def two_lists(self, gold: Sequence, answer: Sequence, depth: int) -> Reason:
        """Return the verdict on two lists."""
        if len(gold.parts) != len(answer.parts):
            return Reason.WRONG
        if len(gold.parts) > MAX_PARTS:
            return Reason.UNREADABLE_ANSWER
        named, other_named = _labels(gold.parts), _labels(answer.parts)
        if named and not any(len(split_equation(part)) > 1 for part in answer.parts):
            # Without names the order tells which values belong together.
            values = [split_equation(part)[1] for part in gold.parts]
            return (
                self.all_parts(values, answer.parts, depth)
                if answer.kind == "set" or answer.is_ordered
                else Reason.WRONG
            )
        # "x = 2, y = 3" is a point; x_1 and x_2 are two values of x.
        is_point = other_named and all(len(name) == 1 for name in other_named) and other_named == sorted(other_named)
        if is_point and not named and gold.brackets == "()":
            return self.all_parts(gold.parts, [split_equation(part)[1] for part in answer.parts], depth)
        if gold.kind != answer.kind:
            return Reason.WRONG
        return (
            self.all_parts(gold.parts, answer.parts, depth) if gold.is_ordered else self._matched(gold, answer, depth)
        )

    def all_parts(self, gold: list[str], answer: list[str], depth: int) -> Reason:
        """Return the verdict on two equally long lists of parts, compared in order."""
        for one, other in zip(gold, answer, strict=True):
            if not (verdict := self.values(one, other, depth + 1)).is_right:
                return verdict
        return Reason.RIGHT_PARTS

    def _matched(self, gold: Sequence, answer: Sequence, depth: int) -> Reason:
        left = list(answer.parts)
        for part in gold.parts:
            match = next((other for other in left if self.values(part, other, depth + 1).is_right), None)
            if match is None:
                return Reason.WRONG
            left.remove(match)
        return Reason.RIGHT_PARTS

    def _cases(
        self, rows: list[list[str]] | None, others: list[list[str]] | None, gold: str, answer: str, depth: int
    ) -> Reason:
        """Decide functions in pieces, whose order does not matter, and systems, which are lists of equations."""
        if all(len(row) == 1 for row in [*(rows or ()), *(others or ())]):
            lists = [
                Sequence("", [cell for (cell,) in cases]) if cases else read_sequence(text)
                for cases, text in ((rows, gold), (others, answer))
            ]
            return self.two_lists(lists[0], lists[1], depth) if lists[0] and lists[1] else Reason.WRONG
        if not rows or not others or len(rows) != len(others) or len(rows) > MAX_PARTS:
            return Reason.WRONG
        left = list(others)
        for row in rows:
            pairs = (other for other in left if len(row) == len(other))
            match = next((other for other in pairs if self.all_parts(row, other, depth).is_right), None)
            if match is None:
                return Reason.WRONG
            left.remove(match)
        return Reason.RIGHT_PARTS

    def _vectors(
        self,
        matrix: list[list[str]] | None,
        other_matrix: list[list[str]] | None,
        sequence: Sequence | None,
        depth: int,
    ) -> Reason:
        """Decide a matrix and coordinates: equal where the matrix is one row or one column."""
        rows = matrix or other_matrix or []
        cells = [cell for row in rows for cell in row]
        is_vector = len(cells) > 1 and (len(rows) == 1 or len(rows) == len(cells))
        # [1, 2] may be an interval.
        if not is_vector or sequence is None or sequence.kind not in ("()", "<>") or len(cells) != len(sequence.parts):
            return Reason.WRONG
        return self.all_parts(*((cells, sequence.parts) if matrix else (sequence.parts, cells)), depth)

    def _matrices(self, gold: list[list[str]], answer: list[list[str]], depth: int) -> Reason:
        if [len(row) for row in gold] != [len(row) for row in answer]:
            return Reason.WRONG
        cells, others = [cell for row in gold for cell in row], [cell for row in answer for cell in row]
        return self.all_parts(cells, others, depth) if len(cells) <= MAX_PARTS**2 else Reason.UNREADABLE_ANSWER


def _labels(parts: list[str]) -> list[str] | None:
    """Return the names of parts such as "x = 2" and "y = 3"; None unless every part has a name of its own."""
    sides = [split_equation(part) for part in parts]
    names = [side[0] for side in sides if len(side) == 2 and is_label(side[0])]
    return names if len(names) == len(parts) and len(set(names)) == len(names) else None
