"""Finds content of a data set that is not used: warns about it, or refuses data that it makes useless.

Checks names and cells of the rows; a column counts as images when its cells are names of image files.
"""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from algorithms.errors import DataError
from algorithms.records import Prompt
from datamodules.rows.cells import BadRow
from datamodules.rows.columns.choices import choices_of
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.lookup import cell_at, listed, matching
from datamodules.rows.images import encoded_image

logger = logging.getLogger(__name__)

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_CHOICE_NAME = re.compile(
    r"(?:multi_?)?(?:choice|option|candidate|opt)s?(?:[ _-]?(?:text|list|[a-z]|[0-9]{1,2}))?", re.I
)
_LETTERS = ("A", "B", "C")
_URL_TAIL = re.compile(r"[?#].*$")
_DEEPEST = 4  # levels of lists and objects in which images are looked for
_ANSWER_NAMES = ("answer", "answers", "solution", "ground_truth", "gt_answer", "final_answer", "label", "target")
# Number of first rows by which a column is judged.
_LOOKED_AT = 200


@dataclass
class Audit:
    """Counts over the rows of one data set."""

    columns: ColumnMap
    names: dict[str, None] = field(default_factory=dict[str, None])
    """All columns, in the order in which they were found."""

    num_prompts: int = 0
    num_with_images: int = 0
    num_with_answer: int = 0
    num_with_choices: int = 0
    num_without_mark: int = 0
    """Rows with an image that no numbered mark names."""

    _unread_images: Counter[str] = field(default_factory=Counter[str])
    _unread_choices: Counter[str] = field(default_factory=Counter[str])
    _keys: Counter[str] = field(default_factory=Counter[str])
    _num_rows: int = 0
    _not_seen: dict[str, str] = field(init=False)
    """Columns that the map names and in which no row has had anything yet, with the key that names each."""

    def __post_init__(self) -> None:
        self._not_seen = {name: key for key, name in self.columns.named_columns()}

    def look_at(self, cells: Mapping[str, Any]) -> None:
        """Check the cells of a row, good or bad."""
        self.names.update(dict.fromkeys(cells))
        self._num_rows += 1
        for name in list(self._not_seen):
            if any(cell_at(cells, column) is not None for column in matching(list(cells), [name])):
                del self._not_seen[name]
        if self._num_rows > _LOOKED_AT:
            return
        used = {*self.columns.top_names, *self.columns.unused, *matching(list(cells), self.columns.image_names)}
        used |= {*matching(list(cells), self.columns.choice_names), *self.columns.joined_columns}
        for name, cell in cells.items():
            # A dotted key reads a part of the column, and the images in it may be the part.
            if name in used or any(key.startswith(f"{name}.") for key in self.columns.image_names):
                continue
            self._unread_images[name] += _names_images(cell)
            self._unread_choices[name] += _are_choices(name, cell, cells)

    def count(self, prompt: Prompt, *, num_without_mark: int = 0, key: str | None = None) -> None:
        """Count a row that became a prompt.

        Args:
            prompt: the prompt.
            num_without_mark: number of its images that no numbered mark names.
            key: name of the row, which must be unique.
        """
        self.num_prompts += 1
        self.num_with_images += bool(prompt.images)
        self.num_with_answer += bool(prompt.answer and prompt.answer.strip())
        self.num_with_choices += prompt.choices is not None
        self.num_without_mark += num_without_mark > 0
        if key is not None:
            self._keys[key] += 1

    def check(self, where: str, *, unread_bytes: Sequence[str] = ()) -> None:
        """Refuse data whose images are all lost, and warn of other unused content.

        Args:
            where: the file or files, for messages.
            unread_bytes: columns of images in a table that were not read.

        Raises:
            DataError: no row has an image although a column holds images.
        """
        unread = list(dict.fromkeys([*unread_bytes, *(name for name, count in self._unread_images.items() if count)]))
        if unread and not self.num_with_images:
            raise DataError(
                f"{where}: no row has an image, but images are in the column {', '.join(unread)}, which no key reads; "
                f"{self.found()}. Name it in columns.images, or in columns.unused to train without."
            )
        if self._num_rows:
            for name, key in self._not_seen.items():
                logger.warning(
                    "%s: columns.%s names %s, in which no row has anything; %s", where, key, name, self.found()
                )
        if unread:
            logger.warning("%s: columns that hold images are not read: %s; %s", where, ", ".join(unread), self.found())
        choices = [name for name, count in self._unread_choices.items() if count]
        if choices:
            logger.warning(
                "%s: the column %s holds choices that no prompt shows; %s. Name it in columns.choices, or in "
                "columns.unused",
                where,
                ", ".join(choices),
                self.found(),
            )
        if self.num_without_mark:
            logger.warning(
                "%s: %d of %d rows have an image that no mark names; it stands in front of the question",
                where,
                self.num_without_mark,
                self.num_prompts,
            )
        self._warn_of_equal_names(where)

    def without_answers(self) -> str:
        """Return the warning for data in which no row has an answer."""
        similar = [name for name in self.names if name.lower() in _ANSWER_NAMES]
        advice = f"; {', '.join(similar)} may hold it" if similar else ""
        return f"no row has an answer in {self.columns.answer!r}; {self.found()}{advice}"

    def found(self) -> str:
        """Return the names of all columns, for messages."""
        return f"columns found: {', '.join(self.names)}"

    def _warn_of_equal_names(self, where: str) -> None:
        twice = [key for key, count in self._keys.items() if count > 1]
        if twice:
            logger.warning(
                "%s: %d names of rows are given more than once in the column %s, such as %s: reports cannot tell these "
                "rows apart; set columns.id to a column that differs, or to null",
                where,
                len(twice),
                self.columns.id,
                ", ".join(twice[:3]),
            )


def _names_images(cell: Any, depth: int = 0) -> bool:
    """Return whether a cell holds images or their names, and nothing else; in an object one value is enough."""
    if isinstance(cell, Mapping):
        return depth < _DEEPEST and any(_names_images(value, depth + 1) for value in cell.values())
    items = listed(cell)
    if items is not None:
        return bool(items) and depth < _DEEPEST and all(_names_images(item, depth + 1) for item in items)
    if encoded_image(cell) is not None:
        return True
    return isinstance(cell, str) and len(cell) < 500 and _URL_TAIL.sub("", cell).lower().endswith(_IMAGE_SUFFIXES)


def _are_choices(name: str, cell: Any, cells: Mapping[str, Any]) -> bool:
    # One column for each: A, B, C, or option_a, option_b.
    if name in _LETTERS and all(letter in cells for letter in _LETTERS):
        return cell is not None
    if not _CHOICE_NAME.fullmatch(name):
        return False
    if isinstance(cell, str) and any(other != name and _CHOICE_NAME.fullmatch(other) for other in cells):
        return bool(cell.strip())
    try:
        return choices_of({name: cell}, [name]) is not None
    except BadRow:
        return isinstance(cell, str)
