"""A second quickstart keeps what the first one has left."""

from pathlib import Path

import pytest

from cli.quickstart import set_aside
from run_records import Attempt, RunRecord
from storage import LOCK_NAME, folder_lock


def test_the_first_quickstart_finds_nothing_to_keep(tmp_path: Path) -> None:
    assert set_aside(tmp_path / "quickstart") is None


def test_each_earlier_quickstart_is_kept_under_a_number_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    kept = []
    for text in ("first", "second"):
        folder.mkdir()
        (folder / "summary.json").write_text(text)
        kept.append(set_aside(folder))
        assert not folder.exists()
    assert kept == [tmp_path / "quickstart-1", tmp_path / "quickstart-2"]
    assert [(path / "summary.json").read_text() for path in kept] == ["first", "second"]


def test_a_quickstart_that_is_still_running_is_left_alone(tmp_path: Path) -> None:
    run = tmp_path / "quickstart" / "grpo"
    run.mkdir(parents=True)
    RunRecord(run, "fit", "grpo", 0, {}, (Attempt("2026-01-01", (), status="running"),)).write()
    with folder_lock(run), pytest.raises(SystemExit, match="a quickstart is running in"):
        set_aside(run.parent)
    assert (run / LOCK_NAME).parent.is_dir()
