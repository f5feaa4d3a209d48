"""Reads files of questions: returns prompts, and the rows that cannot be used.

    meaning             cell                                           default column
    question            text, required; a mark where an image stands   question
    images              path or list of paths; in tables also bytes    image or images
                        or Hugging Face Image {bytes, path}, or lists
    answer              text, whole number or decimal                  answer
    facts               list of texts                                  facts
    id                  text or whole number; else <file>-<row>        id
    any other           anything but bytes                             goes to ``Prompt.columns``

``columns.column_map`` has further meanings, and sets another column for each meaning. A null counts as absent; blank
lines are no rows. A bad row is left out alone, for the first of these reasons that holds: "not JSON", "wrong type", "no
row to join", "unsupported conversation", "too many choices", "answer is none of the choices", "ambiguous answer",
"image marks do not match images", "empty question", "path outside the data folder", "missing image", "corrupt image",
"oversized image", "unknown gray scale". Positions count every row of all files, good and bad, so that repairing one row
renumbers no other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from algorithms.records import Prompt
from datamodules.rows.audit import Audit
from datamodules.rows.cells import BadRow
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.joining import Joined
from datamodules.rows.columns.taken import row_key, taken
from datamodules.rows.files import Cells, UnreadableRow, read_rows, unread_images
from datamodules.rows.image_checks import ImageChecks
from datamodules.rows.prompt_cells import prompt_of
from datamodules.rows.rejections import Rejection

# Converts the columns of a layout such as POPE's to those of the table above.
Translation = Callable[[Cells], Cells]
_NO_MAP = ColumnMap()


@dataclass(frozen=True, slots=True)
class PromptRows:
    """The prompts and the rejected rows of one data set, in the order of its files and their rows."""

    prompts: tuple[Prompt, ...]
    rejections: tuple[Rejection, ...]
    num_rows: int
    prints: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict[int, tuple[bytes, ...]])
    """Prints of the images, by uid; they show the same picture in two data sets."""

    audit: Audit | None = None
    """Facts about the rows; None when they were not read from files."""


class PromptReader:
    """Reads files one after the other into one data set."""

    def __init__(
        self,
        folder: Path,
        *,
        max_image_pixels: int,
        columns: ColumnMap = _NO_MAP,
        translate: Translation = lambda cells: cells,
    ) -> None:
        """Begin an empty data set.

        Args:
            folder: the data folder.
            max_image_pixels: largest width times height of an image.
            columns: column map, whose ``image_folder`` is below the data folder or absolute.
            translate: function that renames the cells of a row to the names in ``columns``; may raise ``BadRow``.
        """
        # Resolved once: prompt_of compares it with the targets of symbolic links.
        self._images = (folder / Path(columns.image_folder or "").expanduser()).resolve()
        self._columns, self._translate = columns, translate
        self._checks = ImageChecks(max_image_pixels)
        self._rows: list[Prompt | Rejection] = []
        self._prints: dict[int, tuple[bytes, ...]] = {}
        self._joined: Joined | None = None
        self.audit = Audit(columns)

    def read(self, path: Path) -> None:
        """Read and check every row of a file.

        Raises:
            DataError: The file as a whole cannot be read.
        """
        self.join(path)
        self.add(path.stem, read_rows(path, self._columns))

    def add(self, name: str, rows: Iterable[Cells | UnreadableRow]) -> None:
        """Check rows that were read elsewhere; a row without a name gets ``name`` and its position as its name."""
        for number, cells in enumerate(rows):
            self._rows.append(self.row(len(self._rows), f"{name}-{number}", cells))

    def join(self, path: Path) -> None:
        """Read the second list that ``columns.join`` adds to the rows of a file, if there is one."""
        if self._columns.join is not None:
            self._joined = Joined(self._columns.join, path)

    def row(self, uid: int, key: str, cells: Cells | UnreadableRow) -> Prompt | Rejection:
        """Return the prompt of a row, or why there is none.

        Args:
            uid: position of the row in the data set.
            key: name of the row, if it has none of its own.
            cells: cells of the row by column.
        """
        try:
            if isinstance(cells, UnreadableRow):
                raise BadRow(cells.reason, cells.detail)
            cells = self._translate(cells)
            # From here on a rejection has the row's own name.
            key = row_key(cells, self._columns, default=key)
            cells = self._joined.add_to(cells) if self._joined else cells
            self.audit.look_at(cells)
            row = taken(cells, self._columns)
            prompt = prompt_of(uid, key, row, self._images, image_prefix=self._columns.image_prefix)
            # Images are checked last, because decoding them takes longest.
            self._prints[uid] = self._checks.refuse_bad(prompt.images, self._images)
        except BadRow as bad:
            return Rejection(uid, key, bad.reason, bad.detail)
        self.audit.count(prompt, num_without_mark=row.num_without_mark, key=prompt.key)
        return prompt

    def rows(self, where: str, paths: Sequence[Path] = ()) -> PromptRows:
        """Return the data set read so far.

        Args:
            where: name of the data set in messages.
            paths: tables of the data set; their schemas name further columns of images.

        Raises:
            DataError: the data are useless because of columns that were not read.
        """
        unread = dict.fromkeys(name for path in paths for name in unread_images(path, self._columns))
        self.audit.check(where, unread_bytes=list(unread))
        return PromptRows(
            prompts=tuple(row for row in self._rows if isinstance(row, Prompt)),
            rejections=tuple(row for row in self._rows if isinstance(row, Rejection)),
            num_rows=len(self._rows),
            prints=self._prints,
            audit=self.audit,
        )


def read_prompts(
    path: Path,
    folder: Path,
    *,
    max_image_pixels: int,
    columns: ColumnMap = _NO_MAP,
    translate: Translation = lambda cells: cells,
) -> PromptRows:
    """Read and check every row of one file; arguments and errors are those of ``PromptReader``."""
    reader = PromptReader(folder, max_image_pixels=max_image_pixels, columns=columns, translate=translate)
    reader.read(path)
    return reader.rows(str(path), [path])
