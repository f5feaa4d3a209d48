import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from algorithms import ConfigError, DataError
from datamodules import MosaicFolder
from datamodules.photographs import collection
from datamodules.photographs.collection import PACKAGE, VARIABLE, photographs, splits_of
from tests.datamodules.photographs.made import idx, write_collection

ONE_COMMAND = f"`sudo apt-get install {PACKAGE}`"


def labels(array: np.ndarray) -> bytes:
    return idx(array.astype(np.uint8))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (lambda folder: shutil.rmtree(folder), "which is no folder"),
        (
            lambda folder: (folder / "t10k-images-idx3-ubyte.gz").unlink(),
            "which has no t10k-images-idx3-ubyte, with or without .gz",
        ),
        (
            lambda folder: [path.unlink() for path in folder.glob("*labels*")],
            "no train-labels-idx1-ubyte, no t10k-labels-idx1-ubyte,",
        ),
        (lambda folder: cut(folder / "t10k-images-idx3-ubyte.gz"), "t10k-images-idx3-ubyte.gz cannot be read"),
        (lambda folder: cut(folder / "t10k-labels-idx1-ubyte"), "hold (40,) bytes behind its header, and has 20"),
        (
            lambda folder: (folder / "train-labels-idx1-ubyte").write_bytes(labels(np.full(60, 11))),
            "label 11, and there are names for 10 kinds",
        ),
        (
            lambda folder: (folder / "train-labels-idx1-ubyte").write_bytes(labels(np.zeros(59))),
            "train-labels-idx1-ubyte labels of shape (59,)",
        ),
        (
            lambda folder: (folder / "t10k-images-idx3-ubyte.gz").write_bytes(idx(np.zeros((40, 32, 32), np.uint8))),
            "t10k-images-idx3-ubyte has pictures of shape (40, 32, 32)",
        ),
        (
            lambda folder: (folder / "train-images-idx3-ubyte.gz").write_bytes(labels(np.zeros(60))),
            "pictures of shape (60,)",
        ),
    ],
)  # fmt: skip
def test_files_that_are_not_as_they_should_be_are_named_in_one_sentence_with_one_command(
    tmp_path: Path, harm: Callable[[Path], object], complaint: str
) -> None:
    folder = write_collection(tmp_path / "idx")
    harm(folder)
    # Whatever is asked for first: training pictures are drawn for minutes before the others are.
    with pytest.raises((ConfigError, DataError)) as raised:
        photographs("fashion", "train", str(folder), key="data.pairs")
    told = str(raised.value)
    assert told.startswith(f"data.pairs.folder is {str(folder)!r}, ")
    assert complaint in told
    assert ONE_COMMAND in told
    assert told.count(". ") == 0
    assert "\n" not in told


def test_a_relative_with_files_of_the_same_names_and_sizes_is_not_taken_for_fashion(tmp_path: Path) -> None:
    folder = write_collection(tmp_path)
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(idx(np.zeros((10_000, 28, 28), np.uint8)))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(labels(np.arange(10_000) % 10))
    with pytest.raises(DataError, match="has other labels than Fashion-MNIST, as MNIST and KMNIST have"):
        photographs("fashion", "train", str(folder))


@pytest.mark.long
def test_a_variable_says_where_the_photographs_of_a_machine_lie() -> None:
    asked = "from datamodules import MosaicFolder; print(MosaicFolder().photograph_folder)"
    told = subprocess.check_output([sys.executable, "-c", asked], text=True, env=os.environ | {VARIABLE: "/my/copy"})
    assert told.strip() == "/my/copy"


@pytest.fixture
def _fresh() -> None:
    splits_of.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_digits_need_scikit_learn_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigError, match="pip install scikit-learn"):
        photographs("digits", "train")


@pytest.mark.usefixtures("_fresh")
def test_digits_are_split_and_enlarged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = ModuleType("sklearn.datasets")
    bundled = SimpleNamespace(images=np.full((50, 8, 8), 16.0), target=np.arange(50) % 10)
    datasets.load_digits = lambda: bundled  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "sklearn", ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", datasets)
    numbers = {split: len(photographs("digits", split).labels) for split in ("train", "val", "test")}
    assert numbers == {"train": 40, "val": 5, "test": 5}
    assert photographs("digits", "train").pixels.shape == (40, 28, 28)
    assert photographs("digits", "train").pixels.max() == 255
    source = MosaicFolder(collection="digits", num_train=4, num_val=1, num_test=1, root=str(tmp_path))
    source.prepare()
    names = {fact for prompt in source.read("train", max_image_pixels=10**6).prompts for fact in prompt.facts or ()}
    assert names <= {"zero", "one", "two", "three", "four", "five", "six", "seven"}


@pytest.mark.parametrize("name", ["t10k-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("harm", [Path.unlink, cut])
def test_files_of_the_package_that_are_gone_or_cut_come_with_the_command_that_installs_it_again(
    name: str, harm: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_collection(tmp_path / "package")
    monkeypatch.setattr(collection, "PACKAGE_FOLDER", str(folder))
    harm(folder / name)
    # Without that word apt answers that the package is there.
    with pytest.raises((ConfigError, DataError), match=f"`sudo apt-get install --reinstall {PACKAGE}` gets it again"):
        photographs("fashion", "train", str(folder))
