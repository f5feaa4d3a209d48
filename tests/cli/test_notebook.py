"""What a notebook needs of the command line."""

import sys
from pathlib import Path
from typing import Any

import pytest

from cli import notebook
from cli.built import built_folder
from cli.given.places import PROJECT

CONFIG = "configs/tiny/stages/vision_tower.yaml"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_notebook_stands_in_the_project_wherever_it_was_opened(elsewhere: Path) -> None:
    notebook.stand_in_project()
    assert Path("train.py").is_file()


def test_a_model_that_is_there_is_not_built_again(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notebook, "run", None)
    built_folder(CONFIG, 3).mkdir(parents=True)
    assert notebook.built(CONFIG, 3) == str(built_folder(CONFIG, 3))
    assert capsys.readouterr().out == ""


def test_a_model_is_built_at_the_first_call_with_its_seed_and_one_line_is_printed(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: list[str], *, is_build: bool) -> None:
        sys.stdout.write("a bar")
        assert is_build
        assert [*arguments[:2], arguments[3]] == ["fit", "--config", "--seed_everything=3"]
        # The project's, wherever the notebook stands.
        assert Path(arguments[2]) == PROJECT / CONFIG
        Path(arguments[4].removeprefix("--callbacks.export.folder=")).mkdir()

    monkeypatch.setattr(notebook, "run", run)
    assert Path(notebook.built(CONFIG, 3)).is_dir()
    assert capsys.readouterr().out == "Building vision_tower with seed 3, once: this takes minutes.\n"


def test_what_building_printed_is_shown_where_it_fails(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: list[str], **_: Any) -> None:
        sys.stdout.write("step 1")
        raise ValueError("no memory")

    monkeypatch.setattr(notebook, "run", run)
    with pytest.raises(ValueError, match="no memory"):
        notebook.built(CONFIG)
    assert "step 1" in capsys.readouterr().out
