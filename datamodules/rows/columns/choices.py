"""The choices of a question: a list, a list written as text, letters with texts, or one column for each choice."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datamodules.rows.cells import BadRow, is_text, is_whole_number, wrong_type
from datamodules.rows.columns.lookup import cell_at, listed, matching

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Signs around a letter, half-width and full-width: "(A)", "A.", "A:".
OPENING = r"[(\[\N{FULLWIDTH LEFT PARENTHESIS}]"
CLOSING = r"[)\].:\N{FULLWIDTH RIGHT PARENTHESIS}\N{FULLWIDTH FULL STOP}\N{FULLWIDTH COLON}\N{IDEOGRAPHIC COMMA}]"
_LABEL = re.compile(rf"\s*{OPENING}?([A-Za-z]){CLOSING}\s*(?=\S)")
_LINES = re.compile(rf"(?m)^\s*{OPENING}?([A-Za-z]){CLOSING}\s*")


def choices_of(cells: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the texts of the choices, without letters in front; None where the row has none.

    Args:
        cells: the row.
        names: one column with all choices, or one column for each choice; a name with ``*`` stands for several columns.

    Raises:
        BadRow: "wrong type", or "too many choices" for more than there are letters.
    """
    found = matching(list(cells), names)
    if len(found) == 1 and "*" not in names[0]:
        items = _items(found[0], cell_at(cells, found[0]))
    else:
        items = [cell_at(cells, name) for name in found]
    # A question with fewer choices than columns leaves the last columns empty; pandas writes NaN there.
    while items and (items[-1] in (None, "") or items[-1] != items[-1]):
        items.pop()
    if not items:
        return None
    if len(items) > len(LETTERS):
        raise BadRow("too many choices", f"{len(items)} choices in {', '.join(found)}")
    return _without_labels(tuple(_text(found[0], item) for item in items))


def _items(name: str, cell: Any) -> list[Any]:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return []
    if isinstance(cell, Mapping):
        # {"label": ["A", "B"], "text": ["3", "4"]}, or {"A": "3", "B": "4"}.
        texts = cell.get("text", cell.get("texts"))
        return list(texts) if isinstance(texts, list) else [cell[key] for key in sorted(cell)]
    items = listed(cell)
    if items is None and isinstance(cell, str):
        pieces = _LINES.split(cell)
        # Text in front of the first letter would be lost.
        items = [text.strip() for text in pieces[2::2]] if len(pieces) >= 5 and not pieces[0].strip() else None
    if items is None:
        raise wrong_type(name, "a list of choices, or such a list written as text", cell)
    return items


def _text(name: str, item: Any) -> str:
    if is_whole_number(item) or (isinstance(item, float) and math.isfinite(item)):
        return str(item)
    if not isinstance(item, str) or not is_text(item):
        raise wrong_type(name, "a list of texts or numbers", item)
    return item.strip()


def _without_labels(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Remove leading letters if each choice begins with its own letter."""
    labels = [_LABEL.match(choice) for choice in choices]
    if any(label is None or label[1].upper() != LETTERS[i] for i, label in enumerate(labels)):
        return choices
    return tuple(choice[label.end() :] for choice, label in zip(choices, labels, strict=True) if label)
