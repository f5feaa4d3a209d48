"""Computes a short print of an image's content: two files of one picture have similar prints, also after another
encoding or size.

The print is a difference hash (whether each cell of a coarse picture is brighter than the one left of it) of the three
colours, with the mean colour.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

# Cells of the coarse picture.
_COLUMNS, _ROWS = 16, 16
HASH_BYTES = _COLUMNS * _ROWS * 3 // 8
PRINT_BYTES = HASH_BYTES + 3
# Least difference in brightness, of 255; smaller ones come from rounding and from JPEG in flat parts.
_BRIGHTER = 8
# Most different bits, of 768, between similar prints. Measured: a picture and its JPEG of quality 50 to 75, at half or
# twice its size, differ in up to 21; two drawings of the shapes world in 32 and more.
_MAX_BITS = 24
# Largest difference of mean colours, of 255; it distinguishes pictures of a single colour, whose hashes are equal.
_MAX_COLOUR = 6
_CHUNK = 64


def image_print(image: Image.Image) -> bytes:
    """Return the print of a picture."""
    coarse = np.asarray(image.convert("RGB").resize((_COLUMNS + 1, _ROWS), Image.Resampling.BOX), dtype=np.int16)
    bits = coarse[:, 1:] > coarse[:, :-1] + _BRIGHTER  # (16, 16, 3)
    return np.packbits(bits).tobytes() + coarse.mean(axis=(0, 1)).astype(np.uint8).tobytes()


def alike_images(these: Sequence[bytes], those: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return the positions (i, j) of all pairs of similar prints, in order."""
    if not these or not those:
        return []
    left, right = _table(these), _table(those)
    found: list[tuple[int, int]] = []
    # Compared in parts, because the table of all pairs would not fit into memory.
    for first in range(0, len(left), _CHUNK):
        near = _near(left[first : first + _CHUNK], right)
        found += [(first + int(i), int(j)) for i, j in zip(*near.nonzero(), strict=True)]
    return found


def _table(prints: Sequence[bytes]) -> UInt8[np.ndarray, "N bytes"]:
    return np.frombuffer(b"".join(prints), dtype=np.uint8).reshape(len(prints), PRINT_BYTES)


def _near(left: UInt8[np.ndarray, "L bytes"], right: UInt8[np.ndarray, "R bytes"]) -> Bool[np.ndarray, "L R"]:
    words = [np.ascontiguousarray(table[:, :HASH_BYTES]).view(np.uint64) for table in (left, right)]  # (L, 12), (R, 12)
    different = np.zeros((len(left), len(right)), dtype=np.uint16)
    for word in range(words[0].shape[1]):
        different += np.bitwise_count(words[0][:, None, word] ^ words[1][None, :, word])
    colours = [table[:, HASH_BYTES:].astype(np.int16) for table in (left, right)]
    near = different <= _MAX_BITS
    for channel in range(3):
        near &= np.abs(colours[0][:, None, channel] - colours[1][None, :, channel]) <= _MAX_COLOUR
    return near
