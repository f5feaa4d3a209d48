"""A reader sees a file or folder whole, or the older one, or none."""

from pathlib import Path

import pytest

from storage import whole_file, whole_folder


def test_a_file_appears_when_it_is_complete_and_replaces_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"
    for text in ("first", "second"):
        with whole_file(path) as draft:
            draft.write_text(text)
            assert not path.exists() or path.read_text() == "first"
    assert path.read_text() == "second"
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_a_file_whose_writer_fails_leaves_the_older_one_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("older")

    def write_half() -> None:
        with whole_file(path) as draft:
            draft.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "older"
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with whole_folder(path) as draft:
        (draft / "a").write_text("1")
        assert not path.exists()
    assert (path / "a").read_text() == "1"


def test_a_folder_that_another_process_finished_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with whole_folder(path) as draft:
        (draft / "a").write_text("mine")
        path.mkdir()
        (path / "a").write_text("theirs")
    assert (path / "a").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_only_on_demand_and_only_by_a_complete_one(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.mkdir()
    (path / "old").touch()

    def write_half() -> None:
        with whole_folder(path, replace=True) as draft:
            (draft / "half").touch()
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        write_half()
    assert [file.name for file in path.iterdir()] == ["old"]
    with whole_folder(path, replace=True) as draft:
        (draft / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]
