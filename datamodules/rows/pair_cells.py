"""Turns the cells of one row into the prompt and the fields of a preference pair, or into a reason why not.

``datamodules.rows.pair_rows`` has the table of columns; ``turns`` reads the question and the completions.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from algorithms.records import Prompt
from datamodules.rows.cells import IMAGE_MARK, BadRow, is_text, wrong_type
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.taken import taken
from datamodules.rows.prompt_cells import prompt_of
from datamodules.rows.turns import LEADING_MARK, QUESTION_COLUMNS, Turns

# Columns with a meaning for pairs; every other column belongs to the prompt.
PAIR_COLUMNS = (
    *QUESTION_COLUMNS,
    "chosen",
    "rejected",
    "answer_gt",
    "kind",
    "chosen_score",
    "rejected_score",
    "rejected_ended",
    "marks_added",
    "prompt_columns",
    "system",
)


def check_completions(turns: Turns) -> None:
    """Refuse two completions that cannot form a pair.

    Raises:
        BadRow: "empty completion", "chosen equals rejected" or "image marks do not match images".
    """
    for column, text in (("chosen", turns.chosen), ("rejected", turns.rejected)):
        if not text.strip():
            raise BadRow("empty completion", f"{column} is {text!r:.80}")
        if IMAGE_MARK in text:
            # Many tokenizers turn the mark into an image token, and the completion has no image for it.
            raise BadRow("image marks do not match images", f"{column} holds {IMAGE_MARK}; only a question may")
    if turns.chosen.strip() == turns.rejected.strip():
        raise BadRow("chosen equals rejected", f"both are {turns.chosen!r:.80}")


def prompt_of_pair(
    uid: int, key: str, cells: Mapping[str, Any], question: str, folder: Path, columns: ColumnMap
) -> Prompt:
    """Build the prompt of a pair, without reading its images.

    Args:
        uid: position in the data set.
        key: the row's name.
        cells: cells by column.
        question: the question of ``turns_of``.
        folder: where image paths start, with symbolic links resolved.
        columns: column map, which names the columns of images.

    Raises:
        BadRow: The row cannot be used.
    """
    of_prompt = {name: cell for name, cell in cells.items() if name not in PAIR_COLUMNS}
    of_prompt |= {"question": question, "answer": _answer(cells)}
    prompt = prompt_of(uid, key, taken(of_prompt, columns), folder, columns.image_prefix)
    system = cells.get("system")
    if system is not None and not is_text(system):
        raise wrong_type("system", "Unicode text", system)
    prompt = replace(prompt, system=system or "")
    # mmpr_writer puts a mark for each image before a question without marks, and sets this column.
    if _yes_or_no(cells, "marks_added", default=False):
        prompt = replace(prompt, question=question.removeprefix(LEADING_MARK * len(prompt.images)))
    # Columns of the prompt whose names have another meaning in a row of pairs, such as "kind".
    nested = cells.get("prompt_columns")
    if nested is None:
        return prompt
    if not isinstance(nested, dict):
        raise wrong_type("prompt_columns", "an object", nested)
    return replace(prompt, columns={**prompt.columns, **nested})


def pair_fields(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that only pairs have, with their defaults.

    Raises:
        BadRow: "wrong type".
    """
    kind = cells.get("kind")
    if kind is not None and not (is_text(kind) and kind.strip()):
        raise wrong_type("kind", "Unicode text that is not blank", kind)
    return {
        "kind": "given" if kind is None else kind,
        "chosen_score": _score(cells, "chosen_score"),
        "rejected_score": _score(cells, "rejected_score"),
        "rejected_ended": _yes_or_no(cells, "rejected_ended", default=True),
    }


def _answer(cells: Mapping[str, Any]) -> Any:
    given = [cells[name] for name in ("answer", "answer_gt") if cells.get(name) is not None]
    if len(given) == 2 and given[0] != given[1]:
        raise BadRow("wrong type", f"answer is {given[0]!r:.40} and answer_gt is {given[1]!r:.40}: give one of them")
    return given[0] if given else None


def _score(cells: Mapping[str, Any], column: str) -> float | None:
    cell = cells.get(column)
    if cell is None:
        return None
    try:
        score = float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else math.nan
    except OverflowError:  # JSON sets no limit to whole numbers
        score = math.inf
    if not math.isfinite(score):
        raise wrong_type(column, "a finite number", cell)
    return score


def _yes_or_no(cells: Mapping[str, Any], column: str, *, default: bool) -> bool:
    cell = cells.get(column)
    if cell is None:
        return default
    if not isinstance(cell, bool):
        raise wrong_type(column, "true or false", cell)
    return cell
