"""Reads the answer of a row from text, numbers or lists, with unit, tolerance, and the letter of its choice."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datamodules.rows.cells import BadRow, is_text, is_whole_number, wrong_type
from datamodules.rows.columns.choices import CLOSING, LETTERS, OPENING
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.lookup import cell_at, listed

_NUMBER = re.compile(r"\$?[-+\u2212]?\$?\d[\d,.]*(?:[eE][-+]?\d+)?\$?")
_LETTER = re.compile(rf"{OPENING}?([A-Za-z]){CLOSING}?")
_LETTER_AND_TEXT = re.compile(rf"{OPENING}?([A-Za-z]){CLOSING}\s*(.+)", re.DOTALL)
_BOX = re.compile(r"\$?\\boxed\{([^{}]*)\}\$?")
_ONE_OF_SEVERAL = rf"{OPENING}?[A-Za-z]{CLOSING}?"
_BETWEEN = r"\s*(?:[,;&\N{IDEOGRAPHIC COMMA}]|and)?\s*"
_LETTERS = re.compile(rf"{_ONE_OF_SEVERAL}(?:{_BETWEEN}{_ONE_OF_SEVERAL})+")
_NONE_OF_THEM = "answer is none of the choices"


def answer_of(cells: Mapping[str, Any], columns: ColumnMap, choices: Sequence[str] | None) -> str | None:
    """Return the ground truth as text, a choice by its letter; None when the row has none.

    Raises:
        BadRow: "wrong type", "answer is none of the choices" or "ambiguous answer".
    """
    cell = None if columns.answer is None else cell_at(cells, columns.answer)
    answer = _as_text(cell, columns)
    return None if answer is None else _of_row(answer, cells, columns, choices)


def aliases_of(cells: Mapping[str, Any], columns: ColumnMap, choices: Sequence[str] | None) -> tuple[str, ...]:
    """Return the spellings of the answer behind the first, each of which is right; raises like ``answer_of``."""
    if columns.several_answers != "any" or columns.answer is None:
        return ()
    several = listed(cell_at(cells, columns.answer)) or []
    spelled = [_of_row(_scalar(item), cells, columns, choices) for item in several]
    return tuple(dict.fromkeys(spelling for spelling in spelled[1:] if spelling != spelled[0]))


def _of_row(answer: str, cells: Mapping[str, Any], columns: ColumnMap, choices: Sequence[str] | None) -> str:
    """Return the answer as the letter of its choice, or with the unit of its row."""
    if choices:
        return _letter(answer, choices, columns.answer_form)
    unit = None if columns.unit is None else cell_at(cells, columns.unit)
    if isinstance(unit, str) and unit.strip() and _NUMBER.fullmatch(answer.strip()):
        return f"{answer} {unit.strip()}"
    return answer


def tolerance_of(cells: Mapping[str, Any], columns: ColumnMap) -> float | None:
    """Return the largest absolute difference that is still right; None when the row sets none.

    Raises:
        BadRow: "wrong type".
    """
    name = columns.tolerance or columns.decimals
    cell = None if name is None else cell_at(cells, name)
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in ("", "none", "nan", "null")):
        return None
    # Several answers may have a tolerance each; the smallest one holds for all of them.
    parts = cell.split(",") if isinstance(cell, str) else [cell]
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError) as error:
        raise wrong_type(str(name), "a number", cell) from error
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        # NaN is how pandas writes a missing number.
        if any(math.isnan(number) for number in numbers):
            return None
        raise wrong_type(str(name), "a finite number of at least 0", cell)
    return min(numbers) if columns.tolerance else 0.5 * 10.0 ** -min(numbers)


def _as_text(cell: Any, columns: ColumnMap) -> str | None:
    if cell is None:
        return None
    if columns.answer_values:
        # JSON's true is "true" in a config, not Python's "True".
        spelled = str(cell).lower() if isinstance(cell, bool) else str(cell)
        if spelled in columns.answer_values:
            return columns.answer_values[spelled]
    # Without a map a list is an error, because the column may have another meaning.
    several = listed(cell) if columns != ColumnMap() else None
    if several is not None:
        texts = [_scalar(item) for item in several]
        if not texts:
            return None
        return ", ".join(texts) if columns.several_answers == "all" else texts[0]
    return _scalar(cell)


def _scalar(cell: Any) -> str:
    # Python's JSON reader accepts NaN and Infinity, which are no answers.
    is_decimal = isinstance(cell, float) and math.isfinite(cell)
    if not (is_text(cell) or is_whole_number(cell) or is_decimal):
        raise wrong_type("answer", "Unicode text or a finite number", cell)
    return str(cell)


def _letter(answer: str, choices: Sequence[str], form: str) -> str:
    """Return the letter of the choice that an answer names; several letters stay as they are."""
    by_index = _by_index(answer, form, len(choices))
    if by_index is not None:
        return by_index
    # Some files give the answer inside of a box.
    box = _BOX.fullmatch(answer.strip())
    answer = box[1].strip() if box else answer.strip()
    by_letter = _by_letter(answer, choices)
    # A text that two choices share names neither of them.
    equal = [LETTERS[i] for i, choice in enumerate(choices) if choice == answer]
    by_text = equal[0] if len(equal) == 1 else None
    # With ``auto`` the text decides when it names a choice and the letter does not, and the other way round. When both
    # name a choice they must agree.
    if form == "letter" or (form == "auto" and by_text is None):
        if by_letter is None and _names_several(answer, len(choices)):
            return answer
        found = by_letter
    elif form == "text" or by_letter is None:
        found = by_text
    else:
        found = by_letter if by_letter == by_text else None
        if found is None:
            raise BadRow(
                "ambiguous answer",
                f"{answer!r:.40} is the letter of {choices[LETTERS.index(by_letter)]!r:.40} and the text of "
                f"{by_text}: set columns.answer_form to letter or text",
            )
    if found is None:
        is_index = answer.isdigit() and int(answer) <= len(choices)
        advice = "; for the index of a choice set columns.answer_form to index_0 or index_1" if is_index else ""
        raise BadRow(_NONE_OF_THEM, f"answer {answer!r:.60}, choices {list(choices)!r:.120}{advice}")
    return found


def _by_letter(answer: str, choices: Sequence[str]) -> str | None:
    match = _LETTER.fullmatch(answer) or _LETTER_AND_TEXT.fullmatch(answer)
    letter = match[1].upper() if match else ""
    if not letter or letter not in LETTERS[: len(choices)]:
        return None
    # "B. 12 cm" names B if the text of B is "12 cm".
    is_that_choice = match is None or match.lastindex == 1 or choices[LETTERS.index(letter)] == match[2].strip()
    return letter if is_that_choice else None


def _by_index(answer: str, form: str, num_choices: int) -> str | None:
    if form not in ("index_0", "index_1"):
        return None
    first = int(form[-1])
    index = int(answer) - first if answer.strip().isdigit() else -1
    if not 0 <= index < num_choices:
        raise BadRow(_NONE_OF_THEM, f"answer {answer!r:.60} is no index from {first} of {num_choices} choices")
    return LETTERS[index]


def _names_several(answer: str, num_choices: int) -> bool:
    # Small letters without separators are a word.
    if not _LETTERS.fullmatch(answer.strip()) or (answer.isalpha() and not answer.isupper()):
        return False
    letters = re.findall(r"[A-Za-z]", answer.replace("and", ","))
    return all(letter.upper() in LETTERS[:num_choices] for letter in letters)
