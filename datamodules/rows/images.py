"""Where the images of prompts lie, how they become RGB pixels, and which of them cannot be used.

A reference names an image and holds no pixels, so prompts, buffers and checkpoints stay small. Every reference opens
as a stream of encoded bytes; from there all images take one path:

    header -> pixels -> EXIF orientation -> RGB (transparent parts become white, 16-bit grays become 8-bit)

The check takes the same path before training starts, since an image that fails later would stop the run.
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
        # Opening a pipe would wait for a writer forever.
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} is not a file")
        return self.path.open("rb")

    def load(self) -> Image.Image:
        """Return the image in RGB, turned upright."""
        return _load_rgb(self.open())


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """An image inside a parquet file: raw bytes or a Hugging Face Image ``{bytes, path}``, alone or in a list."""

    path: Path
    row: int
    """Position in the whole file, over all row groups."""

    column: str
    position: int = 0
    """Place in the cell's list of images; 0 when the cell holds one image."""

    def open(self) -> BinaryIO:
        """Return the encoded bytes as a stream; FileNotFoundError when the cell holds none."""
        part = column_cell(self.path, self.row, self.column)
        if isinstance(part, pa.ListScalar):
            part = part.values[self.position]
        if isinstance(part, pa.StructScalar):
            part = part["bytes"]
        if not part.is_valid:
            raise FileNotFoundError(f"{self.path}, row {self.row}, column {self.column}: no image")
        return BytesIO(part.as_py())

    def load(self) -> Image.Image:
        """Return the image in RGB, turned upright."""
        return _load_rgb(self.open())


def check_image(reference: ImageFile | EmbeddedImage, max_pixels: int) -> str | None:
    """Say why an image cannot be used.

    The size is read from the header, before anything of that size is allocated. Then all pixels are decoded, because
    ``Image.verify`` does not notice a truncated JPEG; of a JPEG only the coarsest scale is computed.

    Args:
        reference: The image to look at.
        max_pixels: Largest width times height. Pillow's own limit against decompression bombs holds as well.

    Returns:
        "missing image", "corrupt image", "oversized image", or None when the image can be used.
    """
    try:
        stream = reference.open()
    except OSError:
        return "missing image"
    limit = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    try:
        with stream, Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > limit:
                return "oversized image"
            image.draft("L", (1, 1))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "oversized image"
    except Exception:  # decoders raise whatever they like, from SyntaxError to struct.error
        return "corrupt image"
    return None


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
