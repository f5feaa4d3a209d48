"""Finds cells by the names of a column map: dotted names, names with ``*``, and lists written as text."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

_NUMBER = re.compile(r"(\d+)")
_INDEX = re.compile(r"-?[0-9]{1,9}")


def cell_at(cells: Mapping[str, Any], name: str) -> Any:
    """Return the cell at a name, or None.

    ``a.b.0`` leads into nested cells, lists and JSON inside of a text; ``-1`` is the last of a list.
    """
    # A column whose own name has a dot comes first.
    if name in cells:
        return cells[name]
    cell: Any = cells
    for part in name.split("."):
        cell = _opened(cell)
        if isinstance(cell, Mapping):
            cell = cell.get(part)
        elif isinstance(cell, Sequence) and not isinstance(cell, str) and _INDEX.fullmatch(part):
            index = int(part)
            cell = cell[index] if -len(cell) <= index < len(cell) else None
        else:
            return None
    return cell


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names of columns that match the patterns; matches of one pattern are in the order of their numbers.

    Args:
        names: names of all columns.
        patterns: names, or names with ``*``; a dotted name is kept if its first part is a column.
    """
    found: list[str] = []
    for pattern in patterns:
        if "*" in pattern:
            found += sorted((name for name in names if fnmatchcase(name, pattern)), key=_natural)
        elif pattern in names or pattern.partition(".")[0] in names:
            found.append(pattern)
    return list(dict.fromkeys(found))


def listed(cell: Any) -> list[Any] | None:
    """Return a list, also one that is written as text in JSON or in Python; None when the cell is no list."""
    if isinstance(cell, list | tuple):
        return list(cell)
    if not isinstance(cell, str) or not cell.strip().startswith("["):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def number_in(name: str) -> int | None:
    """Return the last number in a column's name: 3 for ``image_3``."""
    numbers = _NUMBER.findall(name)
    return int(numbers[-1]) if numbers else None


def _natural(name: str) -> tuple[list[int], str]:
    # image_10 comes after image_9.
    return [int(number) for number in _NUMBER.findall(name)], name


def _opened(cell: Any) -> Any:
    """Return the value of a JSON text; any other cell unchanged."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(("{", "[")):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
