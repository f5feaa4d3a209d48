"""Reads files of preference pairs: returns the pairs, and the rows that cannot be used.

The columns of a row decide which layout it has:

    column              MMPR                               TRL / Hugging Face
    image or images     path or list of paths; in parquet also bytes, as in ``datamodules.rows.prompt_rows``
    question            text, ``<image>`` where an         -
                        image stands
    prompt              -                                  text or [user]; absent when both completions begin with it
    chosen, rejected    text                               text, [assistant] or [user, assistant]
    answer_gt           ground truth                       -

Names in brackets are turns ``{"role", "content"}``, whose content is a text or a list of parts ``{"type": "text",
"text"}`` and ``{"type": "image"}``. Optional in both: ``id``, ``facts`` and ``answer`` as for prompts, ``kind`` (text,
"given"), ``chosen_score`` and ``rejected_score`` (finite numbers), ``rejected_ended`` (true). Two more are written by
``datamodules.sources.mmpr_writer``: ``marks_added`` (the leading marks are not the question's own) and
``prompt_columns`` (columns of the prompt whose names mean something else here). Any other column goes to
``Prompt.columns``.

A bad row is left out alone. Besides the reasons of ``datamodules.rows.prompt_rows`` there are "unsupported
conversation" (a system turn, several user turns, tool calls: content would be lost), "empty completion" and "chosen
equals rejected".
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from algorithms.records import ImageReference, PreferencePair, Prompt
from datamodules.rows.audit import Audit
from datamodules.rows.cells import BadRow
from datamodules.rows.columns.pair_columns import PairColumns, renamed
from datamodules.rows.columns.taken import row_key
from datamodules.rows.files import Cells, UnreadableRow, read_rows, unread_images
from datamodules.rows.image_checks import ImageChecks
from datamodules.rows.pair_cells import check_completions, pair_fields, prompt_of_pair
from datamodules.rows.rejections import Rejection
from datamodules.rows.turns import turns_of

logger = logging.getLogger(__name__)

_NO_MAP = PairColumns()


@dataclass(frozen=True, slots=True)
class PairRows:
    """The pairs and the rejected rows of one data set, in the order of its files and their rows."""

    pairs: tuple[PreferencePair, ...]
    rejections: tuple[Rejection, ...]
    """Rejected rows; their ``row`` is the position in the data set, like a pair's uid."""

    num_rows: int


class PairReader:
    """Reads files one after the other into one data set.

    Positions run through all files and count every row, good and bad, so that repairing one row renumbers no other.
    Rows with the same question about the same images share the ``Prompt`` of the first such row, so that its images are
    processed once and the pairs of a prompt can be counted. Two images that are embedded in parquet rows never count as
    the same.
    """

    def __init__(self, *, max_image_pixels: int, columns: PairColumns = _NO_MAP) -> None:
        """Begin an empty data set.

        Args:
            max_image_pixels: largest width times height of an image.
            columns: column map: the meaning of the columns.
        """
        self._columns, self._of_prompts = columns, columns.of_prompts
        self._checks = ImageChecks(max_image_pixels)
        self._audit = Audit(self._of_prompts)
        self._paths: list[Path] = []
        self._prompts: dict[tuple[str, tuple[ImageReference, ...]], Prompt] = {}
        self._rows: list[PreferencePair | Rejection] = []
        # Rows whose answer or facts differ from those of the first row with the same prompt.
        self._num_overruled = 0

    def read(self, path: Path, folder: Path, *, max_rows: int | None = None, repeats: int = 1) -> int:
        """Read and check the rows of a file, and return their number, repeats not counted.

        Args:
            path: a ``.jsonl`` or ``.parquet`` file.
            folder: image paths start here and must stay inside.
            max_rows: number of rows to read, from the first on; None reads all.
            repeats: number of times that the rows enter the data set, each time with positions of their own.

        Raises:
            DataError: The file as a whole cannot be read.
        """
        folder = (folder / Path(self._columns.image_folder or "").expanduser()).resolve()
        self._paths.append(path)
        rows = [
            self._read_row(len(self._rows) + number, f"{path.stem}-{number}", cells, folder)
            for number, cells in enumerate(islice(read_rows(path, self._of_prompts), max_rows))
        ]
        # The file is read once, even if its rows are repeated.
        for _ in range(repeats):
            self._rows += _renumbered(rows, first=len(self._rows))
        return len(rows)

    def rows(self) -> PairRows:
        """Return the data set read so far.

        Raises:
            DataError: no pair has an image although a column holds images.
        """
        unread = dict.fromkeys(name for path in self._paths for name in unread_images(path, self._of_prompts))
        self._audit.check(", ".join(map(str, self._paths)), unread_bytes=list(unread))
        if self._num_overruled:
            logger.warning(
                "%d rows repeat a question about the same images, but give another answer or other facts than the "
                "first such row, whose answer and facts are used for all of them",
                self._num_overruled,
            )
        return PairRows(
            pairs=tuple(row for row in self._rows if isinstance(row, PreferencePair)),
            rejections=tuple(row for row in self._rows if isinstance(row, Rejection)),
            num_rows=len(self._rows),
        )

    def _read_row(self, uid: int, key: str, cells: Cells | UnreadableRow, folder: Path) -> PreferencePair | Rejection:
        try:
            if isinstance(cells, UnreadableRow):
                raise BadRow(cells.reason, cells.detail)
            cells = renamed(cells, self._columns)
            self._audit.look_at(cells)
            # From here on a rejection has the row's own name.
            key = row_key(cells, self._of_prompts, default=key)
            turns = turns_of(cells)
            # The prompt gets its uid before the completions are checked, so that repairing completions changes no uid.
            prompt = self._shared(self._prompt(uid, key, cells, turns.question, folder), folder)
            check_completions(turns)
            fields = pair_fields(cells)
        except BadRow as bad:
            return Rejection(uid, key, bad.reason, bad.detail)
        self._audit.count(prompt)
        return PreferencePair(uid=uid, prompt=prompt, chosen=turns.chosen, rejected=turns.rejected, **fields)

    def _prompt(self, uid: int, key: str, cells: Cells, question: str, folder: Path) -> Prompt:
        return prompt_of_pair(uid, key, cells, question, folder, self._of_prompts)

    def _shared(self, prompt: Prompt, folder: Path) -> Prompt:
        first = self._prompts.get((prompt.question, prompt.images))
        if first is not None:
            self._num_overruled += (prompt.answer, prompt.facts) != (first.answer, first.facts)
            return first
        self._checks.refuse_bad(prompt.images, folder)
        # Only a prompt with good images is shared; each row with bad images is rejected separately.
        self._prompts[prompt.question, prompt.images] = prompt
        return prompt


def read_pairs(path: Path, folder: Path, *, max_image_pixels: int, columns: PairColumns = _NO_MAP) -> PairRows:
    """Read and check every row of one file; see ``PairReader.read``.

    Args:
        path: a ``.jsonl`` or ``.parquet`` file.
        folder: image paths start here and must stay inside.
        max_image_pixels: largest width times height of an image.
        columns: column map: the meaning of the columns.

    Raises:
        DataError: The file as a whole cannot be read.
    """
    reader = PairReader(max_image_pixels=max_image_pixels, columns=columns)
    reader.read(path, folder)
    return reader.rows()


def _renumbered(rows: Sequence[PreferencePair | Rejection], *, first: int) -> list[PreferencePair | Rejection]:
    # Pairs and rejected rows are numbered in one sequence.
    return [
        replace(row, row=uid) if isinstance(row, Rejection) else replace(row, uid=uid)
        for uid, row in enumerate(rows, start=first)
    ]
