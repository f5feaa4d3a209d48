"""The idx format of MNIST and its relatives: unsigned bytes behind a header of big-endian numbers.

00 00 08 n | size of each of n dimensions, 4 bytes each | the bytes, last dimension fastest
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from algorithms import DataError

_UNSIGNED_BYTE = 8
_GZIP = b"\x1f\x8b"


def idx_file(folder: Path, name: str) -> Path | None:
    """Return the file with this name, else the file with this name and ``.gz``, else None."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_idx(file: Path) -> np.ndarray:
    """Return the array in a file, as (N, height, width) or (N,) of uint8.

    Args:
        file: an idx file, packed by gzip or not. The content decides, not the name: browsers unpack downloads but keep
            the name.

    Raises:
        DataError: The file cannot be read, or is no idx file of bytes; has the end of a sentence.
    """
    try:
        content = file.read_bytes()
        content = gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error})") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise DataError(f"{file} is no idx file of bytes: it starts with {content[:4].hex(' ') or 'nothing'}")
    num_dimensions = content[3]
    start = 4 + 4 * num_dimensions
    if len(content) < start:
        raise DataError(f"{file} ends within its header of {start} bytes")
    shape = struct.unpack(f">{num_dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(f"{file} should hold {shape} bytes behind its header, and has {len(content) - start}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
