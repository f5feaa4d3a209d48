"""The idx format of MNIST and its relatives: unsigned bytes behind a header of big-endian numbers.

00 00 08 n | size of each of n dimensions, 4 bytes each | the bytes, last dimension fastest
"""

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from algorithms import DataError

_UNSIGNED_BYTE = 8


def read_idx(folder: Path, name: str) -> np.ndarray:
    """Return the array in a file, as (N, height, width) or (N,) of uint8.

    Args:
        folder: where the file lies.
        name: the file's name without ``.gz``; the plain file is taken where both are there.

    Raises:
        DataError: The file is not there, or is no idx file of bytes.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    if not plain.is_file() and not packed.is_file():
        raise DataError(f"{folder} has neither {name} nor {name}.gz.")
    try:
        content = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{packed} cannot be unpacked: {error}.") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise DataError(f"{folder / name} is no idx file of bytes: it starts with {content[:4].hex(' ') or 'nothing'}.")
    num_dimensions = content[3]
    start = 4 + 4 * num_dimensions
    if len(content) < start:
        raise DataError(f"{folder / name} ends within its header of {start} bytes.")
    shape = struct.unpack(f">{num_dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(f"{folder / name} should hold {shape} bytes behind its header, and has {len(content) - start}.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
