"""Collections of small real photographs, each with a label: where they lie, and which split each belongs to.

fashion   Fashion-MNIST (arXiv:1708.07747): 70,000 products, 28 x 28 gray, ten kinds; the Debian package
          dataset-fashion-mnist, or any folder with its four idx files
digits    handwritten digits of scikit-learn: 1,797 of 8 x 8, enlarged; bundled with that package

No photograph is in two splits: of Fashion-MNIST the training file is for training, one half of the test file for
validation and the other half for test.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from algorithms import ConfigError, DataError
from datamodules.photographs.idx_files import read_idx

CollectionName = Literal["fashion", "digits"]
# Pixels; of Fashion-MNIST.
SIDE = 28
FASHION_FOLDER = "/usr/share/datasets/fashion-mnist"
_INSTALL_FASHION = "apt-get install dataset-fashion-mnist"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing, and how a sentence names it."""

    name: str
    one: str
    """With its article: "a bag"."""

    many: str


KINDS: dict[str, tuple[Kind, ...]] = {
    # In the order of the labels.
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
    """(N,) uint8, each the place of its kind in ``kinds``."""

    kinds: tuple[Kind, ...]


@lru_cache(maxsize=6)
def photographs(collection: CollectionName, split: str, folder: str = FASHION_FOLDER) -> Photographs:
    """Return the photographs of a split.

    Args:
        collection: "fashion" or "digits".
        split: "train", "val" or "test".
        folder: where the four idx files of "fashion" lie.

    Raises:
        ConfigError: The files or the package of the collection are not there, with the one command that gets them.
        DataError: The files are there and are not what they should be.
    """
    pixels, labels = _digits(split) if collection == "digits" else _fashion(split, Path(folder).expanduser())
    kinds = KINDS[collection]
    if pixels.ndim != 3 or pixels.shape[1:] != (SIDE, SIDE) or labels.shape != pixels.shape[:1] or not len(labels):
        raise DataError(
            f"{collection} ({folder}) has pictures of shape {pixels.shape} and labels of shape {labels.shape}, where "
            f"(N, {SIDE}, {SIDE}) and (N,) are needed."
        )
    if labels.max() >= len(kinds):
        raise DataError(f"{collection} ({folder}) has the label {labels.max()}, and names for {len(kinds)} kinds only.")
    return Photographs(pixels, labels, kinds)


def _fashion(split: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    if not folder.is_dir():
        raise ConfigError(
            f"data.source.folder is {str(folder)!r}, which is not there: Fashion-MNIST comes with "
            f"`{_INSTALL_FASHION}`, or name a folder with its four idx files. `collection: digits` needs no such file."
        )
    prefix = "train" if split == "train" else "t10k"
    pixels = read_idx(folder, f"{prefix}-images-idx3-ubyte")
    labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte")
    if split == "train":
        return pixels, labels
    middle = len(labels) // 2
    half = slice(0, middle) if split == "val" else slice(middle, None)
    return pixels[half], labels[half]


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]  (an extra)
    except ImportError:
        raise ConfigError("data.source.collection is 'digits', which scikit-learn holds: run `pip install scikit-learn`.") from None  # fmt: skip  # noqa: E501
    bundled = load_digits()
    # Of ten in a row eight are for training, one for validation, one for test: all writers are in each split.
    tenth = np.arange(len(bundled.target)) % 10
    is_wanted = tenth < 8 if split == "train" else tenth == (8 if split == "val" else 9)
    # Shades from 0 to 16.
    shades = (bundled.images[is_wanted] * (255 / 16)).astype(np.uint8)
    enlarged = [np.asarray(Image.fromarray(shade).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for shade in shades]
    return np.stack(enlarged), bundled.target[is_wanted].astype(np.uint8)
