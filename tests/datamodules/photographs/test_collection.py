import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from algorithms import ConfigError, DataError
from datamodules import MosaicFolder
from datamodules.photographs.collection import photographs
from tests.datamodules.photographs.made import idx, write_collection


@pytest.fixture(autouse=True)
def _fresh() -> None:
    photographs.cache_clear()


def test_a_label_without_a_name_is_refused(tmp_path: Path) -> None:
    folder = write_collection(tmp_path)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.full(60, 11, np.uint8)))
    with pytest.raises(DataError, match="label 11, and names for 10 kinds"):
        photographs("fashion", "train", str(folder))


def test_pictures_without_their_labels_are_refused(tmp_path: Path) -> None:
    folder = write_collection(tmp_path)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(59, np.uint8)))
    with pytest.raises(DataError, match=r"labels of shape \(59,\)"):
        photographs("fashion", "train", str(folder))


def test_digits_need_scikit_learn_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigError, match="pip install scikit-learn"):
        photographs("digits", "train")


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
