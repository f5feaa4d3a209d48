"""Finds content of a data set that is not used: warns about it, or refuses data that it makes useless.

Checks names and cells of the rows; a column counts as images when its cells are names of image files.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from algorithms.errors import DataError
from algorithms.records import Prompt
from datamodules.rows.cells import BadRow
from datamodules.rows.columns.choices import choices_of
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.lookup import listed, matching

logger = logging.getLogger(__name__)

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_CHOICE_NAMES = ("choices", "options", "candidates")
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

    def look_at(self, cells: Mapping[str, Any]) -> None:
        """Check the cells of a row, good or bad."""
        self.names.update(dict.fromkeys(cells))
        self._num_rows += 1
        if self._num_rows > _LOOKED_AT:
            return
        used = {*self.columns.top_names, *self.columns.unused, *matching(list(cells), self.columns.image_names)}
        used |= {*matching(list(cells), self.columns.choice_names), *self.columns.joined_columns}
        for name, cell in cells.items():
            if name in used:
                continue
            self._unread_images[name] += _names_images(cell)
            self._unread_choices[name] += name.lower() in _CHOICE_NAMES and _are_choices(name, cell)

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


def _names_images(cell: Any) -> bool:
    items = listed(cell) or [cell]
    return all(isinstance(item, str) and len(item) < 500 and item.lower().endswith(_IMAGE_SUFFIXES) for item in items)


def _are_choices(name: str, cell: Any) -> bool:
    try:
        return choices_of({name: cell}, [name]) is not None
    except BadRow:
        return False
