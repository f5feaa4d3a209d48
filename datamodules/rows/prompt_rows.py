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

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from PIL import Image

from algorithms.records import ImageReference, Prompt
from datamodules.rows.files import Cells, UnreadableRow, read_rows
from datamodules.rows.images import EmbeddedImage, ImageFile, check_image
from datamodules.rows.prompt_cells import BadRow, prompt_key, prompt_of
from datamodules.rows.rejections import Rejection

ImageCheck = Callable[[ImageFile | EmbeddedImage], str | None]


@dataclass(frozen=True, slots=True)
class PromptRows:
    """What one file holds, in file order."""

    prompts: tuple[Prompt, ...]
    rejections: tuple[Rejection, ...]
    num_rows: int


def read_prompts(
    path: Path, folder: Path, *, max_image_pixels: int, translate: Callable[[Cells], Cells] = lambda cells: cells
) -> PromptRows:
    """Read and check every row of a file.

    Args:
        path: A ``.parquet`` file, or one of JSON lines.
        folder: The data folder: image paths start here and must stay inside.
        max_image_pixels: Largest width times height of an image.
        translate: Gives the cells of a row the names of the table above; may raise ``BadRow``.

    Raises:
        DataError: The file as a whole cannot be read.
    """
    folder = folder.resolve()
    # Cached, since many questions may ask about one image.
    check = lru_cache(maxsize=2**16)(partial(check_image, max_pixels=max_image_pixels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # becomes a rejection
        rows = [
            _read_row(uid, f"{path.stem}-{uid}", cells, folder, check, translate)
            for uid, cells in enumerate(read_rows(path))
        ]
    return PromptRows(
        prompts=tuple(row for row in rows if isinstance(row, Prompt)),
        rejections=tuple(row for row in rows if isinstance(row, Rejection)),
        num_rows=len(rows),
    )


def _read_row(
    uid: int,
    key: str,
    cells: Cells | UnreadableRow,
    folder: Path,
    check: ImageCheck,
    translate: Callable[[Cells], Cells],
) -> Prompt | Rejection:
    try:
        if isinstance(cells, UnreadableRow):
            raise BadRow(cells.reason, cells.detail)
        cells = translate(cells)
        key = prompt_key(cells, default=key)
        prompt = prompt_of(uid, key, cells, folder)
        for image in prompt.images:
            _raise_if_bad(image, folder, check)
    except BadRow as bad:
        return Rejection(uid, key, bad.reason, bad.detail)
    return prompt


def _raise_if_bad(image: ImageReference, folder: Path, check: ImageCheck) -> None:
    assert isinstance(image, ImageFile | EmbeddedImage)
    reason = check(image)
    if reason is None:
        return
    if isinstance(image, ImageFile):
        raise BadRow(reason, str(image.path.relative_to(folder)))
    raise BadRow(reason, f"column {image.column}, image {image.position + 1}")
