"""Which images cannot be used: the check that every image of a data set takes before training starts.

An image that fails later would stop the run, so the check takes the same path as ``images``: header, pixels,
orientation.
"""

import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageOps

from algorithms.records import ImageReference
from datamodules.rows.cells import BadRow
from datamodules.rows.images import FORMATS, EmbeddedImage, ImageFile


class ImageChecks:
    """The check of all images of one data set; an image that many rows name is decoded once."""

    def __init__(self, max_pixels: int) -> None:
        """Begin with no image checked.

        Args:
            max_pixels: largest width times height of an image.
        """
        self._problem = lru_cache(maxsize=2**16)(lambda reference: check_image(reference, max_pixels))

    def refuse_bad(self, images: Iterable[ImageReference], folder: Path) -> None:
        """Refuse a row with an image that cannot be used.

        Args:
            images: the images of the row.
            folder: the data folder, from which the path of a bad image is named.

        Raises:
            BadRow: with the reason of ``check_image``.
        """
        for image in images:
            assert isinstance(image, ImageFile | EmbeddedImage)
            reason = self._problem(image)
            if reason is None:
                continue
            if isinstance(image, ImageFile):
                raise BadRow(reason, str(image.path.relative_to(folder)))
            raise BadRow(reason, f"column {image.column}, image {image.position + 1}")


def check_image(reference: ImageFile | EmbeddedImage, max_pixels: int) -> str | None:
    """Return why an image cannot be used.

    The size is read from the header, before anything of that size is allocated. Then all pixels are decoded, because
    ``Image.verify`` does not notice a truncated JPEG; of a JPEG only the coarsest scale is computed.

    Args:
        reference: the image to look at.
        max_pixels: largest width times height. Pillow's own limit against decompression bombs holds as well.

    Returns:
        "missing image", "corrupt image", "oversized image", or None when the image can be used.
    """
    try:
        stream = reference.open()
    except OSError:
        return "missing image"
    limit = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    with warnings.catch_warnings():
        # Pillow warns of an image above its limit. Such an image is rejected here, by its size.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with stream, Image.open(stream, formats=FORMATS) as image:
                if image.width * image.height > limit:
                    return "oversized image"
                # Decodes a JPEG at an eighth of its size; other formats ignore it.
                image.draft("L", (1, 1))
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
        except Image.DecompressionBombError:
            # Raised instead of a warning above twice Pillow's limit.
            return "oversized image"
        except Exception:  # decoders raise errors of any class, from SyntaxError to struct.error
            return "corrupt image"
    return None
