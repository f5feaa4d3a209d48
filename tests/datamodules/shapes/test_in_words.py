"""The shapes world told in words: the same questions, and pictures only in the splits that keep them."""

import json
from pathlib import Path

import pytest

from algorithms import ConfigError
from datamodules import ShapesFolder, ShapesInWords

SMALL = {"num_train": 3, "num_val": 2, "num_test": 2, "seed": 7}


def rows(folder: str, split: str) -> list[dict]:
    return [json.loads(line) for line in Path(folder, f"{split}.jsonl").read_text().splitlines()]


def test_a_split_in_words_has_the_scenes_and_questions_of_the_pictures(tmp_path: Path) -> None:
    pictures, words = (
        ShapesFolder(**SMALL, root=str(tmp_path)),
        ShapesInWords(**SMALL, splits=["train"], root=str(tmp_path)),
    )
    for folder in (pictures, words):
        folder.prepare()
    for told, drawn in zip(rows(words.path, "train"), rows(pictures.path, "train"), strict=True):
        assert told["question"] == f"{' '.join(drawn['cells'])} {drawn['question']}"
        assert {key: told[key] for key in told if key != "question"} == {
            key: drawn[key] for key in drawn if key not in ("question", "image")
        }
    assert rows(words.path, "val") == rows(pictures.path, "val")
    assert {path.name for path in Path(words.path, "images").iterdir()} == {
        f"{split}-00000{index}.png" for split in ("val", "test") for index in range(2)
    }


def test_other_splits_are_another_folder() -> None:
    folders = [ShapesInWords(splits=splits).path for splits in (["train"], ["val", "test"], ["test", "val"])]
    assert folders[0] != folders[1] == folders[2]
    assert ShapesFolder().path not in folders


def test_a_split_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.source.splits holds dev; it may hold train, val, test"):
        ShapesInWords(splits=["train", "dev"])
