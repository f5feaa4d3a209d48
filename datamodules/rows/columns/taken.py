"""Takes the cells of one row by the meanings of a column map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datamodules.rows.cells import BadRow, is_text, is_whole_number, wrong_type
from datamodules.rows.columns.answers import aliases_of, answer_of, tolerance_of
from datamodules.rows.columns.choices import choices_of
from datamodules.rows.columns.column_map import DEFAULT_IMAGES, ColumnMap, joined_text
from datamodules.rows.columns.conversations import Asked, asked_by
from datamodules.rows.columns.lookup import cell_at, listed, matching, number_in
from datamodules.rows.columns.marks import place_marks


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCells:
    """The content of a row; images are still paths, bytes or references."""

    question: str
    images: tuple[Any, ...]
    """Images in the order of the marks."""

    answer: str | None
    aliases: tuple[str, ...]
    choices: tuple[str, ...] | None
    tolerance: float | None
    system: str
    facts: tuple[str, ...] | None
    columns: dict[str, Any]
    """All further cells."""

    num_without_mark: int
    """Number of images that no mark names although marks name others."""


def row_key(cells: Mapping[str, Any], columns: ColumnMap, default: str) -> str:
    """Return the row's own name, or the default when it has none.

    Raises:
        BadRow: "wrong type".
    """
    cell = None if columns.id is None else cell_at(cells, columns.id)
    if cell is None:
        return default
    if not (is_text(cell) or is_whole_number(cell)):
        raise wrong_type(str(columns.id), "Unicode text or a whole number", cell)
    return str(cell)


def taken(cells: Mapping[str, Any], columns: ColumnMap) -> TakenCells:
    """Return the cells of a row by their meaning.

    Raises:
        BadRow: The row cannot be used.
    """
    asked = _asked(cells, columns)
    choices = choices_of(cells, columns.choice_names)
    answer = answer_of(cells, columns, choices)
    facts = _facts(None if columns.facts is None else cell_at(cells, columns.facts))
    images, numbers = _images(cells, columns)
    if asked.images:
        # When a conversation contains images and a column repeats them, they are the same images.
        if images and len(images) != len(asked.images):
            raise BadRow(
                "image marks do not match images",
                f"the conversation holds {len(asked.images)} x image, and columns.images {len(images)}",
            )
        images, numbers = asked.images, list(range(1, len(asked.images) + 1))
    placed = place_marks(asked.question, choices or (), numbers)
    if not placed.question.strip():
        raise BadRow("empty question", f"question is {asked.question!r:.80}")
    return TakenCells(
        question=placed.question,
        images=tuple(images[position] for position in placed.order),
        answer=answer,
        aliases=aliases_of(cells, columns, choices),
        choices=None if choices is None else placed.choices,
        tolerance=tolerance_of(cells, columns),
        system=_system(cells, columns, asked),
        facts=facts,
        columns=_further(cells, columns, asked),
        num_without_mark=placed.num_without_mark,
    )


def _asked(cells: Mapping[str, Any], columns: ColumnMap) -> Asked:
    if columns.question is None:
        return Asked(question=columns.fixed_question)
    if columns.joined_columns:
        return Asked(question=_joined(cells, columns.question, columns.joined_columns))
    cell = cell_at(cells, columns.question)
    if cell is None:
        raise BadRow("empty question", f"no {columns.question} among the columns {', '.join(cells)}")
    # Without a map a list is an error, because the user has not declared that the column holds conversations.
    asked = asked_by(columns.question, cell) if columns != ColumnMap() else None
    if asked is not None:
        return asked
    if not is_text(cell):
        raise wrong_type(columns.question, "Unicode text", cell)
    return Asked(question=cell)


def _joined(cells: Mapping[str, Any], template: str, names: Sequence[str]) -> str:
    values: dict[str, str] = {}
    for name in names:
        cell = cell_at(cells, name)
        if cell is not None and not is_text(cell):
            raise wrong_type(name, "Unicode text", cell)
        values[name] = (cell or "").strip()
    if not any(values.values()):
        raise BadRow("empty question", f"none of {', '.join(names)} among the columns {', '.join(cells)}")
    return joined_text(template, values).strip()


def _system(cells: Mapping[str, Any], columns: ColumnMap, asked: Asked) -> str:
    cell = None if columns.system is None else cell_at(cells, columns.system)
    if cell is None:
        return asked.system
    if not is_text(cell):
        raise wrong_type(str(columns.system), "Unicode text", cell)
    return cell


def _facts(cell: Any) -> tuple[str, ...] | None:
    if cell is None:
        return None
    if not isinstance(cell, list) or not all(is_text(fact) for fact in cell):
        raise wrong_type("facts", "a list of Unicode texts", cell)
    return tuple(cell)


def _images(cells: Mapping[str, Any], columns: ColumnMap) -> tuple[list[Any], list[int]]:
    """Return the images and their numbers: of several columns the number in the name, else the place in the list."""
    found = [(name, cell_at(cells, name)) for name in matching(list(cells), columns.image_names)]
    found = [(name, cell) for name, cell in found if cell is not None]
    if columns.images is None and len(found) > 1:
        raise BadRow("wrong type", f"give {' or '.join(DEFAULT_IMAGES)}, not both")
    images: list[Any] = []
    numbers: list[int] = []
    several = len(columns.image_names) > 1 or any("*" in name for name in columns.image_names)
    for name, cell in found:
        items = listed(cell)
        items = [cell] if items is None else items
        # A table gives a list of one text, which may be a list itself.
        items = [image for item in items for image in ((isinstance(item, str) and listed(item)) or [item])]
        if columns.images is not None and items in ([None], [""]):
            # Some files write a missing image as {bytes: null, path: null}, and what was CSV as an empty text.
            continue
        number = number_in(name)
        if several and columns.images is not None and number is not None and len(items) == 1:
            numbers.append(number)
        else:
            numbers += range(len(images) + 1, len(images) + len(items) + 1)
        images += items
    return images, numbers


def _further(cells: Mapping[str, Any], columns: ColumnMap, asked: Asked) -> dict[str, Any]:
    consumed = {*columns.top_names, *matching(list(cells), columns.image_names)}
    consumed |= {*matching(list(cells), columns.choice_names), *columns.unused}
    found = {name: cell for name, cell in cells.items() if name not in consumed}
    completion = asked.completion if columns.completion is None else cell_at(cells, columns.completion)
    return found if completion is None else {**found, "completion": completion}
