"""References to the images of prompts, and their conversion to RGB pixels.

A reference names an image and holds no pixels, so prompts, buffers and checkpoints stay small. Every reference opens
as a stream of encoded bytes; from there all images take one path:

    header -> pixels -> EXIF orientation -> RGB (transparent parts become white, deeper grays become 8-bit)
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

from datamodules.rows.parquet import column_cell

# A list of formats, because Pillow would open EPS files by running Ghostscript on them.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image in a file of its own."""

    path: Path

    def open(self) -> BinaryIO:
        """Return the encoded bytes as a stream; raise FileNotFoundError when there is no such file."""
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
    """Index in the cell's list of images; 0 when the cell holds one image."""

    def open(self) -> BinaryIO:
        """Return the encoded bytes as a stream; raise FileNotFoundError when the cell holds no image."""
        cell = column_cell(self.path, self.row, self.column)
        # A dotted column leads into a struct.
        for name in nested_names(self.column, cell):
            cell = cell[name]
        if isinstance(cell, pa.ListScalar):
            cell = cell.values[self.position]
        if isinstance(cell, pa.StructScalar):
            cell = cell["bytes"]
        if not cell.is_valid:
            raise FileNotFoundError(f"{self.path}, row {self.row}, column {self.column}: no image")
        # as_py copies the bytes; before this line only Arrow's own memory is used.
        return BytesIO(cell.as_py())

    def load(self) -> Image.Image:
        """Return the image in RGB, turned upright."""
        return _load_rgb(self.open())


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """An image that came with its row, from a stream or as base64 in a text; it is kept encoded, to save memory."""

    encoded: bytes = field(repr=False)
    digest: str
    """Digest of the bytes, which ``repr`` shows instead of the bytes."""

    def open(self) -> BinaryIO:
        """Return the encoded bytes as a stream."""
        return BytesIO(self.encoded)

    def load(self) -> Image.Image:
        """Return the image in RGB, turned upright."""
        return _load_rgb(self.open())


Reference = ImageFile | EmbeddedImage | ImageBytes


def without_folder(image: object) -> object:
    """Return a reference with its path relative to the data folder; references that are no files unchanged."""
    if isinstance(image, ImageFile | EmbeddedImage):
        return replace(image, path=Path(image.path.name))
    return image


def image_bytes(encoded: bytes) -> ImageBytes:
    """Return a reference that holds an encoded image."""
    return ImageBytes(encoded, hashlib.blake2b(encoded, digest_size=16).hexdigest())


def encoded_image(cell: Any) -> ImageBytes | None:
    """Return the image inside of a cell (bytes, ``{bytes, path}``, a data URL or base64); None for other cells."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes")
    if isinstance(cell, bytes):
        return image_bytes(cell)
    if not isinstance(cell, str):
        return None
    _, is_url, text = cell.partition(";base64,") if cell.startswith("data:image/") else ("", "", cell)
    # The first bytes of PNG, JPEG, GIF, WEBP and BMP in base64. A short text is a path, because every image is longer.
    if not is_url and not (len(text) > 80 and text.startswith(("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk"))):
        return None
    try:
        return image_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


def is_image(encoded: bytes) -> bool:
    """Return whether bytes begin like an image."""
    try:
        with Image.open(BytesIO(encoded), formats=FORMATS):
            return True
    except Exception:  # decoders raise errors of any class
        return False


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a gray image with more than 8 bits per pixel in 8 bits; other images unchanged.

    Pillow's own conversion would clip: every gray above 255 would become white, and a float image in 0..1 black.

    Raises:
        ValueError: for values whose scale is unknown.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    values = np.asarray(image, dtype=np.float64)  # (height, width)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    # The range of values shows the scale of such a file: shares of white, or 8, 16 or 31 bits.
    tops = [1.0] if image.mode == "F" else []
    tops += [2.0**8 - 1, 2.0**16 - 1]
    top = next((top for top in tops if high <= top), 2.0**31 - 1)
    # Between 16 and 24 bits the scale could only be guessed, and a wrong guess makes the picture black.
    is_known = top < 2.0**24 or (image.mode == "I" and high >= 2.0**24)
    if not (np.isfinite(values).all() and low >= 0.0 and is_known):
        raise ValueError(f"gray values from {low:g} to {high:g}")
    return Image.fromarray(np.rint(values * (255.0 / top)).astype(np.uint8))


def nested_names(column: str, cell: Any) -> list[str]:
    """Return the further names of a dotted column, if the cell is a struct with these names."""
    first, _, rest = column.partition(".")
    names = rest.split(".") if rest else []
    return names if first and isinstance(cell, pa.StructScalar) and names and names[0] in cell else []


def _load_rgb(stream: BinaryIO) -> Image.Image:
    with stream, Image.open(stream, formats=FORMATS) as image:
        upright = ImageOps.exif_transpose(image)
    upright = to_eight_bits(upright)
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    # Dropping alpha turns a transparent page black, and black drawings on it vanish.
    page = Image.new("RGBA", upright.size, "white")
    page.alpha_composite(upright.convert("RGBA"))
    return page.convert("RGB")
