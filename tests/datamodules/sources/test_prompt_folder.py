"""Which file is read for a split, and what the user is told when there is none."""

import re
from pathlib import Path

import pytest

from algorithms.errors import ConfigError, DataError
from datamodules.prompts import PromptDataModule
from datamodules.sources.prompt_folder import PromptFolder


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_a_split_is_the_file_of_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl", "val.parquet", "test.jsonl")
    source = PromptFolder(str(tmp_path))
    assert [source.split_file(split).name for split in ("train", "val", "test")] == [
        "train.jsonl",
        "val.parquet",
        "test.jsonl",
    ]


def test_jsonl_goes_before_parquet(tmp_path: Path) -> None:
    touch(tmp_path, "train.parquet", "train.jsonl")
    assert PromptFolder(str(tmp_path)).split_file("train") == tmp_path / "train.jsonl"


def test_files_may_have_names_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "v1.2-hard.jsonl")
    source = PromptFolder(str(tmp_path), train="v1.2-hard", val="v1.2-hard")
    assert source.split_file("val") == source.split_file("train") == tmp_path / "v1.2-hard.jsonl"


def test_a_missing_file_is_explained_with_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "training.jsonl", "images.zip")
    with pytest.raises(DataError) as error:
        PromptFolder(str(tmp_path)).split_file("train")
    for part in ("data.source.path", str(tmp_path), "train.jsonl", "train.parquet", "training.jsonl", "images.zip"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("train.csv", r"pandas\.read_csv\('train\.csv', dtype=str, keep_default_na=False\)"),
        ("train.TSV", r"read_csv\('train\.TSV', sep='\\t', dtype=str"),
        ("train.xlsx", "one JSON object a line"),
        ("train.jsonl.gz", "unpack it"),
    ],
)
@pytest.mark.parametrize("named", ["train", "as it is called", "by a pattern"])
def test_a_file_of_a_form_that_is_not_read_is_named_with_the_forms_that_are(
    tmp_path: Path, name: str, how: str, named: str
) -> None:
    touch(tmp_path, name)
    given = {"train": "train", "as it is called": name, "by a pattern": "tr*"}[named]
    words = rf"{re.escape(name)} is not read, since rows are read from \.jsonl, \.parquet, \.json and \.arrow: .*{how}"
    with pytest.raises(DataError, match=words):
        PromptFolder(str(tmp_path), train=given).split_file("train")


@pytest.mark.parametrize(("beside", "is_told"), [("train.csv", True), ("train.parquet", True), ("val.csv", False)])
def test_a_data_file_beside_the_one_that_is_read_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, beside: str, is_told: bool
) -> None:
    (tmp_path / "train.jsonl").write_text('{"question": "how many ?"}\n')
    touch(tmp_path, beside)
    PromptDataModule(PromptFolder(str(tmp_path), val=None)).setup("fit")
    assert (f"train.jsonl is read, and {beside} beside it is not" in caplog.text) is is_told


def test_a_folder_that_is_a_saved_data_set_without_splits_says_how_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "data.arrow")
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    with pytest.raises(DataError, match=r"set data\.source\.train to '\.'"):
        PromptFolder(str(tmp_path)).split_file("train")
    assert PromptFolder(str(tmp_path), train=".").split_file("train").name == "data.arrow"


def test_a_crowded_folder_is_listed_in_part(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:03}.png" for number in range(100)))
    with pytest.raises(DataError, match=r"007\.png and 92 more"):
        PromptFolder(str(tmp_path)).split_file("train")


def test_an_empty_folder_is_called_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found an empty folder"):
        PromptFolder(str(tmp_path)).split_file("train")


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.path must be an existing folder.*is not there"):
        PromptFolder(str(tmp_path / "nowhere")).split_file("train")


def test_a_file_in_place_of_the_folder_is_a_wrong_setting(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl")
    with pytest.raises(ConfigError, match="is a file"):
        PromptFolder(str(tmp_path / "train.jsonl")).split_file("train")


def test_an_empty_path_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.path"):
        PromptFolder(" ")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert PromptFolder("~/mine").folder == tmp_path / "mine"


def test_a_subclass_may_make_its_folder_before_it_is_read(tmp_path: Path) -> None:
    class Drawn(PromptFolder):
        def prepare(self) -> None:
            self.folder.mkdir()
            touch(self.folder, "train.jsonl")

    source = Drawn(str(tmp_path / "drawn"))
    source.prepare()
    assert source.split_file("train").name == "train.jsonl"
