"""The cells of one row -> the fields of a prompt, or the reason why they cannot be used.

``datamodules.rows.prompt_rows`` has the table of columns.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.records import Prompt
from datamodules.rows.files import IMAGE_COLUMNS, TEXT_COLUMNS
from datamodules.rows.images import EmbeddedImage, ImageFile

IMAGE_MARK = "<image>"


class BadRow(ValueError):
    """A row that cannot be used: the reason, by which rows are counted, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def prompt_key(cells: Mapping[str, Any], default: str) -> str:
    """Return the row's own name, or the default when it has none."""
    cell = cells.get("id")
    if cell is None:
        return default
    if not (_is_text(cell) or _is_whole_number(cell)):
        raise _wrong_type("id", "Unicode text or a whole number", cell)
    return str(cell)


def prompt_of(uid: int, key: str, cells: Mapping[str, Any], folder: Path) -> Prompt:
    """Build a prompt from the cells of a row, without looking into its images.

    Args:
        uid: Position in the file.
        key: The row's name.
        cells: Cells by column.
        folder: The data folder, with symbolic links resolved.

    Raises:
        BadRow: The row cannot be used.
    """
    question = _question(cells)
    answer = _answer(cells.get("answer"))
    facts = _facts(cells.get("facts"))
    parts = _image_parts(cells)
    num_marks = question.count(IMAGE_MARK)
    if num_marks not in (0, len(parts)):
        raise BadRow("image marks do not match images", f"{num_marks} x {IMAGE_MARK}, {len(parts)} x image")
    return Prompt(
        uid=uid,
        key=key,
        question=question,
        images=tuple(_reference(part, folder) for part in parts),
        answer=answer,
        facts=facts,
        columns={name: cell for name, cell in cells.items() if name not in TEXT_COLUMNS + IMAGE_COLUMNS},
    )


def _wrong_type(column: str, allowed: str, cell: Any) -> BadRow:
    return BadRow("wrong type", f"{column} must be {allowed}, got {cell!r:.80}")


def _is_text(cell: Any) -> bool:
    if not isinstance(cell, str):
        return False
    try:
        cell.encode()
    except UnicodeEncodeError:
        # JSON can spell half of a surrogate pair; tokenizers and files raise at it.
        return False
    return True


def _is_whole_number(cell: Any) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool)


def _question(cells: Mapping[str, Any]) -> str:
    cell = cells.get("question")
    if cell is None:
        raise BadRow("empty question", f"no question among the columns {', '.join(cells)}")
    if not _is_text(cell):
        raise _wrong_type("question", "Unicode text", cell)
    if not cell.strip():
        raise BadRow("empty question", f"question is {cell!r:.80}")
    return cell


def _answer(cell: Any) -> str | None:
    if cell is None:
        return None
    is_decimal = isinstance(cell, float) and math.isfinite(cell)
    if not (_is_text(cell) or _is_whole_number(cell) or is_decimal):
        raise _wrong_type("answer", "Unicode text or a finite number", cell)
    return str(cell)


def _facts(cell: Any) -> tuple[str, ...] | None:
    if cell is None:
        return None
    if not isinstance(cell, list) or not all(_is_text(fact) for fact in cell):
        raise _wrong_type("facts", "a list of Unicode texts", cell)
    return tuple(cell)


def _image_parts(cells: Mapping[str, Any]) -> list[Any]:
    found = [cells[name] for name in IMAGE_COLUMNS if cells.get(name) is not None]
    if len(found) > 1:
        raise BadRow("wrong type", "give image or images, not both")
    if not found:
        return []
    return found[0] if isinstance(found[0], list) else found


def _reference(part: Any, folder: Path) -> ImageFile | EmbeddedImage:
    if isinstance(part, EmbeddedImage):
        return part
    if part is None:
        raise BadRow("missing image", "the image is null")
    if not isinstance(part, str):
        raise _wrong_type("image", "a path or a list of paths", part)
    relative = Path(part)
    if relative.is_absolute() or ".." in relative.parts:
        raise BadRow("path outside the data folder", f"{part}: give a path below the data folder, without ..")
    path = folder / relative
    try:
        target = os.path.realpath(path)
    except ValueError as error:  # a zero byte, or half of a surrogate pair
        raise BadRow("missing image", f"{part!r}: {error}") from error
    if not Path(target).is_relative_to(folder):
        raise BadRow("path outside the data folder", f"{part} is a link to {target}")
    return ImageFile(path)
