"""Guesses the meaning of a file's columns from their names and cells."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms import DataError
from datamodules.rows.cells import BadRow
from datamodules.rows.columns.choices import choices_of
from datamodules.rows.columns.column_map import DEFAULT_IMAGES
from datamodules.rows.columns.conversations import asked_by
from datamodules.rows.columns.lookup import cell_at, listed

Cells = dict[str, Any]

QUESTIONS = (
    "question", "problem", "prompt", "query", "instruction", "input", "conversations", "messages", "text",
)  # fmt: skip
ANSWERS = (
    "answer", "gt_answer", "answer_gt", "final_answer", "ground_truth", "reward_model.ground_truth", "gold", "answers",
    "label", "target", "solution", "output",
)  # fmt: skip
CHOICES = ("choices", "options", "candidates")
NAMES = ("id", "idx", "pid", "qid", "uid", "question_id", "sample_id")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
CHOSEN = (("chosen", "rejected"), ("chosen_response", "rejected_response"), ("preferred", "dispreferred"),
          ("accepted", "rejected"), ("win", "lose"), ("better", "worse"))  # fmt: skip
_LONGEST_NAME = 500


@dataclass
class Guess:
    """Columns by their meaning, as keys of a config, and doubts about them."""

    keys: dict[str, Any] = field(default_factory=dict[str, Any])
    doubts: list[str] = field(default_factory=list[str])
    names: list[str] = field(default_factory=list[str])
    """Names of all columns."""

    @property
    def unread(self) -> list[str]:
        """Columns for which no meaning was found."""
        used = {str(each).split(".")[0] for value in self.keys.values() for each in _as_list(value)}
        return [name for name in self.names if name not in used]


def guess_prompts(rows: Sequence[Cells], byte_columns: Sequence[str], folder: Path) -> Guess:
    """Return the guessed meaning of the columns of prompts.

    Args:
        rows: the first rows.
        byte_columns: columns of a table that hold bytes and are therefore no text.
        folder: folder in which paths of images begin.

    Raises:
        DataError: no column can be a question.
    """
    found = Guess(names=_names(rows, byte_columns))
    images = _add_images(found, rows, byte_columns, folder)
    answer = _first(ANSWERS, rows, _is_answer, without=images)
    found.keys["question"] = _question(rows, found, without=[*images, *([answer] if answer else [])])
    found.keys["answer"] = answer
    if choices := _choices(rows):
        found.keys["choices"] = choices
    # Null when names are missing or equal; rows are then named by file and number.
    found.keys["id"] = _row_name(rows)
    return found


def guess_pairs(rows: Sequence[Cells], byte_columns: Sequence[str], folder: Path) -> Guess | None:
    """Return the guessed meaning of the columns of pairs; None when no columns hold chosen and rejected completions."""
    names = _names(rows, byte_columns)
    pair = next((pair for pair in CHOSEN if set(pair) <= {name.lower() for name in names}), None)
    if pair is None:
        return None
    by_lower = {name.lower(): name for name in names}
    found = Guess(names=names, keys={"chosen": by_lower[pair[0]], "rejected": by_lower[pair[1]]})
    images = _add_images(found, rows, byte_columns, folder)
    # Completions that are conversations may contain the question.
    if question := _first(QUESTIONS, rows, _is_question, without=[*images, *pair]):
        found.keys["question"] = question
    if answer := _first(("answer", "answer_gt", "ground_truth"), rows, _is_answer, without=images):
        found.keys["answer"] = answer
    if name := _row_name(rows):
        found.keys["id"] = name
    return found


def _names(rows: Sequence[Cells], byte_columns: Sequence[str]) -> list[str]:
    filled = (name for row in rows for name, cell in row.items() if cell is not None)
    return list(dict.fromkeys([*filled, *byte_columns]))


def _question(rows: Sequence[Cells], found: Guess, *, without: Sequence[str]) -> str:
    if name := _first(QUESTIONS, rows, _is_question, without=without):
        return name
    # Without a known name the column with the longest texts is taken.
    texts = {name: _mean_length(rows, name) for name in found.names if name not in without}
    likely = max(texts, key=lambda name: texts[name], default=None)
    if likely is None or texts[likely] == 0:
        raise DataError(f"--data has no column of texts that can be a question; columns found: {_shown(found.names)}.")
    found.doubts.append(
        f"no column is named {QUESTIONS[0]} or {QUESTIONS[1]}: {likely} is taken for it; else change columns.question"
    )
    return likely


def _first(
    known: Sequence[str], rows: Sequence[Cells], fits: Callable[[str, Any], bool], *, without: Sequence[str]
) -> str | None:
    spelled = {name.lower(): name for row in rows for name in row}
    for name in known:
        top, dot, rest = name.partition(".")
        column = spelled.get(top, top) + dot + rest
        cells = [cell for row in rows if (cell := cell_at(row, column)) is not None]
        if column not in without and cells and sum(fits(column, cell) for cell in cells) > len(cells) / 2:
            return column
    return None


def _is_question(name: str, cell: Any) -> bool:
    try:
        asked = asked_by(name, cell)
    except BadRow:
        return True
    return asked is not None or (isinstance(cell, str) and bool(cell.strip()))


def _is_answer(_: str, cell: Any) -> bool:
    items = cell if isinstance(cell, list) else [cell]
    return all(isinstance(item, str | int | float) for item in items) and any(str(item).strip() for item in items)


def _mean_length(rows: Sequence[Cells], name: str) -> float:
    cells = [row[name] for row in rows if name in row and row[name] is not None]
    is_text = bool(cells) and all(isinstance(cell, str) for cell in cells)
    return sum(len(cell) for cell in cells) / len(cells) if is_text else 0.0


def _add_images(found: Guess, rows: Sequence[Cells], byte_columns: Sequence[str], folder: Path) -> list[str]:
    """Add the keys of images, and return the columns that they name."""
    named = [name for name in _names(rows, ()) if any(_names_images(row.get(name)) for row in rows)]
    plain = [name for name in DEFAULT_IMAGES if any(row.get(name) is not None for row in rows)]
    # When columns hold bytes and name of the same picture, the bytes are taken, because they need no file.
    images = list(byte_columns) or named or plain
    if not images:
        return []
    family = {re.sub(r"\d+$", "*", name) for name in images}
    is_numbered = len(images) > 1 and len(family) == 1 and next(iter(family)).endswith("*")
    found.keys["images"] = family.pop() if is_numbered else images[0] if len(images) == 1 else images
    found.keys.update(_image_places(rows, images, folder))
    if unused := [name for name in named if name not in images]:
        found.keys["unused"] = unused
    return [*images, *unused]


def _names_images(cell: Any) -> bool:
    items = listed(cell) or [cell]
    paths = [item.get("path") if isinstance(item, dict) else item for item in items]
    return all(_is_image_path(path) for path in paths)


def _is_image_path(path: Any) -> bool:
    return isinstance(path, str) and len(path) < _LONGEST_NAME and path.lower().endswith(IMAGE_SUFFIXES)


def _image_places(rows: Sequence[Cells], images: Sequence[str], folder: Path) -> dict[str, str]:
    """Return the keys for the folder in which paths of images begin; none when it is the data folder."""
    cells = (row.get(name) for row in rows for name in images)
    items = (item for cell in cells if cell is not None for item in (listed(cell) or [cell]))
    paths = [item for item in items if isinstance(item, str) and _is_image_path(item)]
    if not paths or ((folder / paths[0]).is_file() and not Path(paths[0]).is_absolute()):
        return {}
    if all(Path(path).is_absolute() for path in paths):
        place = os.path.commonpath([Path(path).parent for path in paths])
        return {"image_folder": place, "image_prefix": f"{place}/"}
    below = sorted(place for place in folder.iterdir() if place.is_dir())
    found = next((place.name for place in below if (place / paths[0]).is_file()), None)
    return {} if found is None else {"image_folder": found}


def _choices(rows: Sequence[Cells]) -> str | list[str] | None:
    for name in CHOICES:
        if any(_are_choices(row, name) for row in rows):
            return name
    for names in (("A", "B", "C", "D", "E"), ("option_a", "option_b", "option_c", "option_d", "option_e")):
        there = [name for name in names if any(row.get(name) is not None for row in rows)]
        if len(there) >= 2 and there == list(names[: len(there)]):
            return there
    return None


def _are_choices(row: Cells, name: str) -> bool:
    try:
        return choices_of(row, [name]) is not None
    except BadRow:
        return False


def _row_name(rows: Sequence[Cells]) -> str | None:
    """Return the column that names the rows; its names must differ, because equal names are reported as a mistake."""
    for name in NAMES:
        cells = [row.get(name) for row in rows]
        if all(isinstance(cell, str | int) for cell in cells) and len(set(cells)) == len(cells):
            return name
    return None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
