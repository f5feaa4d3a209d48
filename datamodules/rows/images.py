"""Where the images of prompts lie, and how they become RGB pixels.

A reference names an image and holds no pixels, so prompts, buffers and checkpoints stay small. Every reference opens
as a stream of encoded bytes; from there all images take one path:

    header -> pixels -> EXIF orientation -> RGB (transparent parts become white, 16-bit grays become 8-bit)
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

from datamodules.rows.parquet import column_cell

# Named one by one, because Pillow opens EPS by running Ghostscript on the file.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image in a file of its own."""

    path: Path

    def open(self) -> BinaryIO:
        """Return the encoded bytes as a stream; FileNotFoundError when there is no such file."""
        # Opening a named pipe would block until another process writes to it.
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} is not a file")
        return self.path.open("rb")

    def load(self) -> Image.Image:
        """Return the image in RGB, turned upright."""
        return _load_rgb(self.open())


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """An image in a cell of a parquet file: raw bytes or a Hugging Face Image ``{bytes, path}``, alone or in a list."""

    path: Path
    row: int
    """Position in the whole file, over all row groups."""

    column: str
    position: int = 0
    """Place in the cell's list of images; 0 when the cell holds one image."""

    def open(self) -> BinaryIO:
        """Return the encoded bytes as a stream; FileNotFoundError when the cell holds none."""
        cell = column_cell(self.path, self.row, self.column)
        if isinstance(cell, pa.ListScalar):
            cell = cell.values[self.position]
        if isinstance(cell, pa.StructScalar):
            cell = cell["bytes"]
        if not cell.is_valid:
            raise FileNotFoundError(f"{self.path}, row {self.row}, column {self.column}: no image")
        # as_py copies the bytes; up to here Arrow's own memory is used.
        return BytesIO(cell.as_py())

    def load(self) -> Image.Image:
        """Return the image in RGB, turned upright."""
        return _load_rgb(self.open())


def _load_rgb(stream: BinaryIO) -> Image.Image:
    with stream, Image.open(stream, formats=FORMATS) as image:
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        # Pillow would clip: every gray above 255 of 65535 would become white.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    # Dropping alpha turns a transparent page black, and black drawings on it vanish.
    page = Image.new("RGBA", upright.size, "white")
    page.alpha_composite(upright.convert("RGBA"))
    return page.convert("RGB")
