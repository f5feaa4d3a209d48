"""The cells of one row -> the fields of a prompt, or the reason why they cannot be used.

``datamodules.rows.prompt_rows`` has the table of columns.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.records import Prompt
from datamodules.rows.cells import IMAGE_MARK, BadRow, is_text, is_whole_number, wrong_type
from datamodules.rows.files import IMAGE_COLUMNS, TEXT_COLUMNS
from datamodules.rows.images import EmbeddedImage, ImageFile


def prompt_key(cells: Mapping[str, Any], default: str) -> str:
    """Return the row's own name, or the default when it has none."""
    cell = cells.get("id")
    if cell is None:
        return default
    if not (is_text(cell) or is_whole_number(cell)):
        raise wrong_type("id", "Unicode text or a whole number", cell)
    return str(cell)


def prompt_of(uid: int, key: str, cells: Mapping[str, Any], folder: Path) -> Prompt:
    """Build a prompt from the cells of a row, without looking into its images.

    Args:
        uid: position in the file.
        key: the row's name.
        cells: cells by column.
        folder: the data folder, with symbolic links resolved.

    Raises:
        BadRow: The row cannot be used.
    """
    question = _question(cells)
    answer = _answer(cells.get("answer"))
    facts = _facts(cells.get("facts"))
    image_cells = _image_cells(cells)
    num_marks = question.count(IMAGE_MARK)
    # A question without marks has all its images in front.
    if num_marks not in (0, len(image_cells)):
        raise BadRow("image marks do not match images", f"{num_marks} x {IMAGE_MARK}, {len(image_cells)} x image")
    return Prompt(
        uid=uid,
        key=key,
        question=question,
        images=tuple(_reference(cell, folder) for cell in image_cells),
        answer=answer,
        facts=facts,
        columns={name: cell for name, cell in cells.items() if name not in TEXT_COLUMNS + IMAGE_COLUMNS},
    )


def _question(cells: Mapping[str, Any]) -> str:
    cell = cells.get("question")
    if cell is None:
        raise BadRow("empty question", f"no question among the columns {', '.join(cells)}")
    if not is_text(cell):
        raise wrong_type("question", "Unicode text", cell)
    if not cell.strip():
        raise BadRow("empty question", f"question is {cell!r:.80}")
    return cell


def _answer(cell: Any) -> str | None:
    if cell is None:
        return None
    # Python's JSON reader accepts NaN and Infinity, which are no answers.
    is_decimal = isinstance(cell, float) and math.isfinite(cell)
    if not (is_text(cell) or is_whole_number(cell) or is_decimal):
        raise wrong_type("answer", "Unicode text or a finite number", cell)
    return str(cell)


def _facts(cell: Any) -> tuple[str, ...] | None:
    if cell is None:
        return None
    if not isinstance(cell, list) or not all(is_text(fact) for fact in cell):
        raise wrong_type("facts", "a list of Unicode texts", cell)
    return tuple(cell)


def _image_cells(cells: Mapping[str, Any]) -> list[Any]:
    found = [cells[name] for name in IMAGE_COLUMNS if cells.get(name) is not None]
    if len(found) > 1:
        raise BadRow("wrong type", "give image or images, not both")
    if not found:
        return []
    # The cell is one image or a list of images; ``found`` is a list of that one cell.
    return found[0] if isinstance(found[0], list) else found


def _reference(cell: Any, folder: Path) -> ImageFile | EmbeddedImage:
    if isinstance(cell, EmbeddedImage):
        return cell
    if cell is None:
        raise BadRow("missing image", "the image is null")
    if not isinstance(cell, str):
        raise wrong_type("image", "a path or a list of paths", cell)
    relative = Path(cell)
    if relative.is_absolute() or ".." in relative.parts:
        raise BadRow("path outside the data folder", f"{cell}: give a path below the data folder, without ..")
    path = folder / relative
    try:
        target = os.path.realpath(path)
    except ValueError as error:  # a zero byte, or half of a surrogate pair
        raise BadRow("missing image", f"{cell!r}: {error}") from error
    # A downloaded data set must not read other files of the machine through a symbolic link.
    if not Path(target).is_relative_to(folder):
        raise BadRow("path outside the data folder", f"{cell} is a link to {target}")
    return ImageFile(path)
