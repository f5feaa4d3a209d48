"""One file of questions -> prompts, and the rows that cannot be used.

    column              type                                           meaning
    question            text, required                                 ``<image>`` marks where each image stands
    image or images     path or list of paths; in parquet also bytes   paths are relative to the data folder
                        or Hugging Face Image {bytes, path}, or lists
    answer              text, whole number or decimal                  ground truth
    facts               list of texts                                  what the images show
    id                  text or whole number                           name in reports; else <file>-<row>
    any other           anything but bytes                             goes to ``Prompt.columns``

A null counts as absent; blank lines are no rows. A bad row costs itself only, for the first of these reasons that
holds: "not JSON", "wrong type", "empty question", "image marks do not match images", "path outside the data folder",
"missing image", "corrupt image", "oversized image". Positions count every row of the file, good and bad, so that
repairing one row renumbers no other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from algorithms.records import Prompt
from datamodules.rows.cells import BadRow
from datamodules.rows.files import Cells, UnreadableRow, read_rows
from datamodules.rows.image_checks import ImageChecks
from datamodules.rows.prompt_cells import prompt_key, prompt_of
from datamodules.rows.rejections import Rejection

# From the columns of a layout such as POPE's to those of the table.
Translation = Callable[[Cells], Cells]


@dataclass(frozen=True, slots=True)
class PromptRows:
    """The prompts and the rejected rows of one file, in file order."""

    prompts: tuple[Prompt, ...]
    rejections: tuple[Rejection, ...]
    num_rows: int


def read_prompts(
    path: Path, folder: Path, *, max_image_pixels: int, translate: Translation = lambda cells: cells
) -> PromptRows:
    """Read and check every row of a file.

    Args:
        path: a ``.parquet`` file, or one of JSON lines.
        folder: the data folder: image paths start here and must stay inside.
        max_image_pixels: largest width times height of an image.
        translate: gives the cells of a row the names of the table above; may raise ``BadRow``.

    Raises:
        DataError: The file as a whole cannot be read.
    """
    # Resolved once: prompt_of compares it with the targets of symbolic links.
    folder = folder.resolve()
    checks = ImageChecks(max_image_pixels)
    rows = [
        _read_row(uid, f"{path.stem}-{uid}", cells, folder, checks, translate)
        for uid, cells in enumerate(read_rows(path))
    ]
    return PromptRows(
        prompts=tuple(row for row in rows if isinstance(row, Prompt)),
        rejections=tuple(row for row in rows if isinstance(row, Rejection)),
        num_rows=len(rows),
    )


def _read_row(
    uid: int, key: str, cells: Cells | UnreadableRow, folder: Path, checks: ImageChecks, translate: Translation
) -> Prompt | Rejection:
    try:
        if isinstance(cells, UnreadableRow):
            raise BadRow(cells.reason, cells.detail)
        cells = translate(cells)
        # From here on a rejection carries the row's own name.
        key = prompt_key(cells, default=key)
        prompt = prompt_of(uid, key, cells, folder)
        # Last, because decoding images takes the longest.
        checks.refuse_bad(prompt.images, folder)
    except BadRow as bad:
        return Rejection(uid, key, bad.reason, bad.detail)
    return prompt
