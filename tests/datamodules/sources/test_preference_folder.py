"""Which file of a folder of pairs is read, and what the user reads when there is none."""

import json
from pathlib import Path

import pytest

from algorithms.errors import ConfigError, DataError
from datamodules import PairColumns, PairSource, PreferenceFolder
from datamodules.rows.images import ImageFile
from tests.datamodules.sources.pair_files import MAX_PIXELS, questions, read, row, write_image, write_rows


def test_a_source_that_cannot_read_says_so() -> None:
    class Half(PairSource):
        pass

    Half().prepare()
    with pytest.raises(TypeError, match=r"Half must define read"):
        Half().read("train", max_image_pixels=MAX_PIXELS)
    with pytest.raises(TypeError, match=r"Half must define folder"):
        _ = Half().folder


def test_a_folder_has_a_file_per_split_with_images_beside_it(tmp_path: Path) -> None:
    write_image(tmp_path / "images" / "0.png")
    write_rows(tmp_path / "train.jsonl", row("a", image="images/0.png"), row("b"))
    write_rows(tmp_path / "val.jsonl", row("c"))
    source = PreferenceFolder(str(tmp_path))
    assert questions(source) == ["a", "b"]
    assert questions(source, "val") == ["c"]
    assert read(source).pairs[0].prompt.images == (ImageFile(tmp_path / "images" / "0.png"),)
    assert source.folder == tmp_path


def test_a_folder_without_validation_or_test_pairs_is_fine(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", row("a"))
    write_rows(tmp_path / "test.jsonl", row("b"))
    source = PreferenceFolder(str(tmp_path))
    assert source.read("val", max_image_pixels=MAX_PIXELS) is None
    assert source.read("test", max_image_pixels=MAX_PIXELS) is None


def test_jsonl_goes_before_parquet(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.parquet")
    assert PreferenceFolder(str(tmp_path)).split_file("train") == tmp_path / "train.parquet"
    write_rows(tmp_path / "train.jsonl")
    assert PreferenceFolder(str(tmp_path)).split_file("train") == tmp_path / "train.jsonl"


def test_files_may_have_names_of_their_own_and_then_must_be_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "rlaif-v1.1.jsonl", row("a"))
    assert questions(PreferenceFolder(str(tmp_path), train="rlaif-v1.1")) == ["a"]
    with pytest.raises(DataError, match=r"no file for the split val.*held-out\.jsonl.*set data\.pairs\.val"):
        PreferenceFolder(str(tmp_path), train="rlaif-v1.1", val="held-out").split_file("val")


def test_a_missing_training_file_is_explained_with_what_is_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "training.jsonl")
    with pytest.raises(DataError) as error:
        read(PreferenceFolder(str(tmp_path)))
    for part in ("data.pairs.path", str(tmp_path), "train.jsonl", "train.parquet", "training.jsonl"):
        assert part in str(error.value)


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.pairs\.path must be an existing folder.*is not there"):
        read(PreferenceFolder(str(tmp_path / "nowhere")))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"is a file"):
        read(PreferenceFolder(str(tmp_path / "file")))


def test_an_empty_path_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"data\.pairs\.path"):
        PreferenceFolder(" ")


def test_the_kind_of_a_pair_is_told_by_the_longest_beginning_of_its_id(tmp_path: Path) -> None:
    rows = [
        {"id": name, "question": f"{name}?", "chosen": "a", "rejected": "b", "kind": "own"}
        for name in ("RLAIF-V-1", "rl-2", "other")
    ]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = PairColumns(kind_of_id={"rl": "short", "rlaif": "hallucination"})
    source = PreferenceFolder(str(tmp_path), train=None, test="test", columns=columns)
    found = source.read("test", max_image_pixels=1)
    assert found is not None
    assert [pair.kind for pair in found.pairs] == ["hallucination", "short", "own"]
    assert source.read("train", max_image_pixels=1) is None
