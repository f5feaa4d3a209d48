"""Collections of small real photographs with labels: finds their files, and divides them into splits.

fashion   Fashion-MNIST (arXiv:1708.07747): 70,000 products, 28 x 28 gray, ten kinds; the Debian package
          dataset-fashion-mnist, or any folder with its four idx files, which the variable FASHION_MNIST names
digits    handwritten digits of scikit-learn: 1,797 of 8 x 8, enlarged; bundled with that package

No photograph is in two splits: of Fashion-MNIST the training file is for training, one half of the test file for
validation and the other half for test.
"""

import os
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from algorithms import ConfigError, DataError
from datamodules.photographs.idx_files import idx_file, read_idx

CollectionName = Literal["fashion", "digits"]
# Side of a photograph in pixels, that of Fashion-MNIST.
SIDE = 28
PACKAGE = "dataset-fashion-mnist"
PACKAGE_FOLDER = "/usr/share/datasets/fashion-mnist"
VARIABLE = "FASHION_MNIST"
# An environment variable, because the place of the data depends on the machine and not on the config.
FASHION_FOLDER = os.environ.get(VARIABLE) or PACKAGE_FOLDER
GET_FASHION = (
    f"`sudo apt-get install {PACKAGE}` installs Fashion-MNIST on Debian and Ubuntu, and elsewhere {VARIABLE} names a "
    "folder with its four files from https://github.com/zalandoresearch/fashion-mnist"
)
# Files of pictures and labels, and checksums of the labels, because relatives of Fashion-MNIST have files with the same
# names and sizes.
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000, 0x2ED6E46A),
    "t10k": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000, 0x242BC73F),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing, and its names in sentences."""

    name: str
    one: str
    """The name with its article: "a bag"."""

    many: str


KINDS: dict[str, tuple[Kind, ...]] = {
    # Kinds in the order of the labels.
    "fashion": (
        Kind("T-shirt", "a T-shirt", "T-shirts"),
        Kind("trousers", "a pair of trousers", "pairs of trousers"),
        Kind("pullover", "a pullover", "pullovers"),
        Kind("dress", "a dress", "dresses"),
        Kind("coat", "a coat", "coats"),
        Kind("sandal", "a sandal", "sandals"),
        Kind("shirt", "a shirt", "shirts"),
        Kind("sneaker", "a sneaker", "sneakers"),
        Kind("bag", "a bag", "bags"),
        Kind("boot", "a boot", "boots"),
    ),
    "digits": tuple(
        Kind(name, f"an {name}" if name == "eight" else f"a {name}", many)
        for name, many in (
            ("zero", "zeros"), ("one", "ones"), ("two", "twos"), ("three", "threes"), ("four", "fours"),
            ("five", "fives"), ("six", "sixes"), ("seven", "sevens"), ("eight", "eights"), ("nine", "nines"),
        )
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Photographs:
    """The photographs of one split of a collection."""

    pixels: np.ndarray
    """(N, 28, 28) uint8, light on dark."""

    labels: np.ndarray
    """(N,) uint8, indices into ``kinds``."""

    kinds: tuple[Kind, ...]


def photographs(
    collection: CollectionName, split: str, folder: str = FASHION_FOLDER, *, key: str = "data.source"
) -> Photographs:
    """Return the photographs of a split; the whole collection is read and checked with the first of them.

    Args:
        collection: "fashion" or "digits".
        split: "train", "val" or "test".
        folder: where the four idx files of "fashion" lie.
        key: setting that names the collection, for errors.

    Raises:
        ConfigError: The files or the package of the collection are missing; names the command that installs them.
        DataError: The files exist but are not those of the collection.
    """
    return splits_of(collection, folder, key)[split]


@lru_cache(maxsize=4)
def splits_of(collection: CollectionName, folder: str, key: str) -> dict[str, Photographs]:
    """Return all splits of a collection by name; see ``photographs``."""
    kinds = KINDS[collection]
    arrays = _digits(key) if collection == "digits" else _fashion(Path(folder).expanduser(), f"{key}.folder")
    return {split: Photographs(pixels, labels, kinds) for split, (pixels, labels) in arrays.items()}


def _fashion(folder: Path, key: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    # The folder that the user has set.
    name = VARIABLE if os.environ.get(VARIABLE) == str(folder) else key
    given = f"{name} is {str(folder)!r}"
    if not folder.is_dir():
        raise ConfigError(f"{given}, which is no folder: {GET_FASHION}; `collection: digits` needs neither.")
    names = [name for file in _FILES.values() for name in file[:2]]
    absent = [name for name in names if idx_file(folder, name) is None]
    # A package that is installed is not installed again without being told to.
    again = (
        f"`sudo apt-get install --reinstall {PACKAGE}` gets it again" if str(folder) == PACKAGE_FOLDER else GET_FASHION
    )
    if absent:
        raise ConfigError(f"{given}, which has no {', no '.join(absent)}, with or without .gz: {again}.")
    try:
        train, test = _labelled(folder, "train"), _labelled(folder, "t10k")
    except DataError as error:
        raise DataError(f"{given}, but {error}: {again}.") from error
    middle = len(test[1]) // 2
    val, rest = ((test[0][half], test[1][half]) for half in (slice(0, middle), slice(middle, None)))
    return {"train": train, "val": val, "test": rest}


def _labelled(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures and labels of two files of Fashion-MNIST.

    Raises:
        DataError: has the end of a sentence, as in ``read_idx``.
    """
    *names, full_size, checksum = _FILES[part]
    pixels, labels = (read_idx(file) for name in names if (file := idx_file(folder, name)) is not None)
    if pixels.ndim != 3 or pixels.shape[1:] != (SIDE, SIDE) or labels.shape != pixels.shape[:1] or len(labels) < 2:
        raise DataError(
            f"{names[0]} has pictures of shape {pixels.shape} and {names[1]} labels of shape {labels.shape}, where "
            f"(N, {SIDE}, {SIDE}) and (N,) are needed"
        )
    if labels.max() >= len(KINDS["fashion"]):
        raise DataError(
            f"{names[1]} has the label {labels.max()}, and there are names for {len(KINDS['fashion'])} kinds"
        )
    if len(labels) == full_size and zlib.crc32(labels.tobytes()) != checksum:
        raise DataError(
            f"{names[1]} has other labels than Fashion-MNIST, as MNIST and KMNIST have in files of this name"
        )
    return pixels, labels


def _digits(key: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    try:
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]  (an extra)
    except ImportError:
        raise ConfigError(f"{key}.collection is 'digits', which scikit-learn holds: run `pip install scikit-learn`.") from None  # fmt: skip  # noqa: E501
    bundled: Any = load_digits()
    # Shades from 0 to 16.
    shades = (bundled.images * (255 / 16)).astype(np.uint8)
    pixels = np.stack([
        np.asarray(Image.fromarray(shade).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for shade in shades
    ])  # fmt: skip
    labels = bundled.target.astype(np.uint8)
    # Of each ten digits in a row eight are for training, one for validation, one for test, so each split has all
    # writers.
    tenth = np.arange(len(labels)) % 10
    places = {"train": tenth < 8, "val": tenth == 8, "test": tenth == 9}
    return {split: (pixels[is_wanted], labels[is_wanted]) for split, is_wanted in places.items()}
