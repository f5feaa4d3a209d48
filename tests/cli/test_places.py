"""A command works from any directory: configs are the project's, everything else is the user's."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from algorithms import ConfigError
from cli.app import run
from cli.built import built_folder
from cli.given.places import PROJECT, config_path, with_places
from cli.help.pages import first_page
from cli.run_record.closing import command_line
from cli.sweep.options import read_options
from cli.sweep.plan import overlay_files


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    with pytest.raises(SystemExit) as stopped:
        run(["fit", *arguments, "--print_config"])
    assert stopped.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_a_config_and_an_overlay_of_the_project_are_found_from_elsewhere(elsewhere: Path, capsys) -> None:
    config = shown(capsys, "--config", "configs/tiny/grpo.yaml", "--config=configs/ablations/replay/no_ssb.yaml")
    assert config["data"]["init_args"]["buffer"]["capacity"] == 0


def test_what_a_config_is_built_from_is_found_and_built_where_the_user_stands(elsewhere: Path, capsys) -> None:
    path = shown(capsys, "--config=configs/tiny/grpo.yaml")["model"]["init_args"]["policy"]["init_args"]["path"]
    assert path.startswith("runs/built/adapter-")
    # The same name as in the project: what is built does not depend on where.
    here = os.fspath(built_folder("configs/tiny/stages/adapter.yaml", 0))
    os.chdir(PROJECT)
    assert here == os.fspath(built_folder("configs/tiny/stages/adapter.yaml", 0)) == path


def test_a_config_of_the_directory_wins_over_one_of_the_project(elsewhere: Path) -> None:
    assert config_path("configs/tiny/grpo.yaml") == str(PROJECT / "configs/tiny/grpo.yaml")
    (elsewhere / "configs/tiny").mkdir(parents=True)
    shutil.copy(PROJECT / "configs/tiny/grpo.yaml", elsewhere / "configs/tiny/grpo.yaml")
    assert config_path("configs/tiny/grpo.yaml") == "configs/tiny/grpo.yaml"


def test_the_overlays_of_a_sweep_are_found_from_elsewhere_like_any_config(elsewhere: Path) -> None:
    overlay = "configs/ablations/replay/no_ssb.yaml"
    assert overlay_files(overlay) == [str(PROJECT / overlay)]
    (elsewhere / "mine.yaml").touch()
    assert overlay_files(f"{overlay}+mine.yaml") == [str(PROJECT / overlay), "mine.yaml"]
    options = read_options(["--config=configs/tiny/grpo.yaml", "--overlays", overlay, "--baseline", overlay])
    assert options.baseline == overlay
    with pytest.raises(ConfigError, match=r"--overlays nowhere.yaml: there is no such file, here or in the project"):
        overlay_files("nowhere.yaml")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("/a folder/train.py", "python '/a folder/train.py'"), ("../x/train.py", "python ../x/train.py"),
     ("train.py", "python train.py"), ("/usr/bin/pytest", "python train.py")],
)  # fmt: skip
def test_a_command_that_a_user_is_told_names_train_py_where_they_have_typed_it(
    typed: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [typed])
    assert command_line(["fit", "--config", "x.yaml"]) == f"{shown} fit --config x.yaml"
    assert first_page("fit").startswith(f"{shown} fit")


def test_other_arguments_and_configs_that_are_nowhere_stay_as_they_are(elsewhere: Path) -> None:
    arguments = ["fit", "--data.source.path=configs/tiny", "--config=configs/nowhere.yaml", "--config={model: X}", "-c"]
    assert with_places(arguments) == arguments


def test_a_class_in_a_file_of_the_directory_is_found(elsewhere: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both end with the test: the path of modules, and the module.
    monkeypatch.setattr("sys.path", [entry for entry in __import__("sys").path if entry])
    (elsewhere / "my_callbacks_here.py").write_text(
        "from lightning.pytorch import Callback\n\n\nclass Mine(Callback):\n    pass\n"
    )
    config = shown(capsys, "--config=configs/tiny/grpo.yaml", "--callbacks.mine=my_callbacks_here.Mine")
    assert config["callbacks"]["mine"]["class_path"] == "my_callbacks_here.Mine"
