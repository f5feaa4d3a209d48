"""Checks every image of a data set before training starts.

An image that fails later would stop the run, so the check runs the same steps as ``images``: header, pixels,
orientation, gray scale.
"""

import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from algorithms.records import ImageReference
from datamodules.rows.cells import BadRow
from datamodules.rows.image_prints import image_print
from datamodules.rows.images import FORMATS, EmbeddedImage, ImageBytes, ImageFile, Reference, to_eight_bits

# Side in pixels of the smaller copy of a JPEG that is decoded for the check.
_DRAFT = (64, 64)


class ImageCheck(NamedTuple):
    """The result of checking an image."""

    problem: str | None
    """Why the image cannot be used; None when it can be used."""

    content: bytes = b""
    """Print of the image, see ``image_prints``; empty when the image cannot be used."""


class ImageChecks:
    """The check of all images of one data set; an image that many rows name is decoded once."""

    def __init__(self, max_pixels: int) -> None:
        """Begin without checked images.

        Args:
            max_pixels: largest width times height of an image.
        """
        self._max_pixels = max_pixels
        self._in_file = lru_cache(maxsize=2**16)(lambda reference: examine_image(reference, max_pixels))

    def refuse_bad(self, images: Iterable[ImageReference], folder: Path) -> tuple[bytes, ...]:
        """Refuse a row with an image that cannot be used; return the prints of its images.

        Args:
            images: the images of the row.
            folder: the data folder, from which the path of a bad image is named.

        Raises:
            BadRow: has the reason of ``check_image``.
        """
        prints: list[bytes] = []
        for image in images:
            assert isinstance(image, ImageFile | EmbeddedImage | ImageBytes)
            # Results for bytes are not stored, because their key would be the picture itself.
            is_held = isinstance(image, ImageBytes)
            found = examine_image(image, self._max_pixels) if is_held else self._in_file(image)
            if found.problem is not None:
                raise BadRow(found.problem, _named(image, folder))
            prints.append(found.content)
        return tuple(prints)


def check_image(reference: Reference, max_pixels: int) -> str | None:
    """Return why an image cannot be used, as ``examine_image`` finds it."""
    return examine_image(reference, max_pixels).problem


def examine_image(reference: Reference, max_pixels: int) -> ImageCheck:
    """Return why an image cannot be used, and its print when it can.

    The size is read from the header, before anything of that size is allocated. Then all pixels are decoded, because
    ``Image.verify`` does not notice a truncated JPEG; of a JPEG only a coarse scale is computed.

    Args:
        reference: the image to look at.
        max_pixels: largest width times height. Pillow's own limit against decompression bombs holds as well.

    Returns:
        One of "missing image", "corrupt image", "oversized image" and "unknown gray scale", or no problem.
    """
    try:
        stream = reference.open()
    except OSError:
        return ImageCheck("missing image")
    limit = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    with warnings.catch_warnings():
        # Pillow warns of an image above its limit. Such an image is rejected here, by its size.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with stream, Image.open(stream, formats=FORMATS) as image:
                if image.width * image.height > limit:
                    return ImageCheck("oversized image")
                # Decodes a large JPEG at a part of its size; other formats ignore it.
                image.draft("RGB", _DRAFT)
                image.load()
                upright = ImageOps.exif_transpose(image)
        except Image.DecompressionBombError:
            # Raised instead of a warning above twice Pillow's limit.
            return ImageCheck("oversized image")
        except Exception:  # decoders raise errors of any class, from SyntaxError to struct.error
            return ImageCheck("corrupt image")
        try:
            return ImageCheck(None, image_print(to_eight_bits(upright)))
        except ValueError:
            return ImageCheck("unknown gray scale")


def _named(image: Reference, folder: Path) -> str:
    if isinstance(image, ImageFile):
        return str(image.path.relative_to(folder))
    if isinstance(image, EmbeddedImage):
        return f"column {image.column}, image {image.position + 1}"
    return f"an image of {len(image.encoded)} bytes inside of the row"
