"""Four idx files in the layout of Fashion-MNIST, in which every photograph can be told by its gray."""

import gzip
import struct
from pathlib import Path

import numpy as np

NUM_TRAIN, NUM_TEST = 60, 40
# Grays of the photographs for training, and of the two halves of those for testing.
GRAYS = {"train": range(60), "val": range(100, 120), "test": range(120, 140)}


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_collection(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, number, first in (("train", NUM_TRAIN, 0), ("t10k", NUM_TEST, 100)):
        grays = np.arange(first, first + number, dtype=np.uint8)
        pixels = np.repeat(grays, 28 * 28).reshape(number, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(grays % 10))
    return folder
