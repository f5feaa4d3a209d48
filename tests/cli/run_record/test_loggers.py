"""Whatever logger a config has, a run writes into its own folder and nowhere else."""

from pathlib import Path
from typing import Any

import pytest
from jsonargparse import Namespace, dict_to_namespace

from cli.given.settings import config_files
from cli.run_record.loggers import given_name, keep_csv, point_at, runs_parent

TENSORBOARD = "lightning.pytorch.loggers.TensorBoardLogger"
CSV = "lightning.pytorch.loggers.CSVLogger"
FOLDER = Path("runs/tiny/grpo-s0")


def section(logger: Any, root: str | None = None) -> Namespace:
    return dict_to_namespace({"logger": logger, "default_root_dir": root})


def local(class_path: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": class_path, "init_args": {"name": "lightning_logs", "version": None, **settings}}


@pytest.mark.parametrize(
    ("trainer", "parent"),
    [
        (section(local(TENSORBOARD, save_dir="runs", name="tiny")), "runs/tiny"),
        (section(local(CSV, save_dir="out")), "out"),
        (section(local(CSV, save_dir="out", name="")), "out"),
        (section([local(TENSORBOARD, save_dir="runs", name="a"), local(CSV, save_dir="b")]), "runs/a"),
        (section(False), "runs/tiny"),
        (section(True), "runs/tiny"),
        (section(None, "somewhere"), "somewhere"),
        (section({"class_path": "x.WandbLogger", "init_args": {"save_dir": "."}}), "runs/tiny"),
    ],
)
def test_runs_lie_where_the_logger_or_the_root_folder_says_and_otherwise_below_runs(
    trainer: Namespace, parent: str
) -> None:
    assert runs_parent(trainer, config_files(["fit", "--config=configs/tiny/grpo.yaml"])) == Path(parent)


@pytest.mark.parametrize(
    ("config", "parent"), [("mine.yaml", "runs"), ("configs/own.yaml", "runs"), ("../a/b.yaml", "runs/a")]
)
def test_without_a_logger_runs_are_grouped_by_the_folder_of_their_config(config: str, parent: str) -> None:
    assert runs_parent(section(False), config_files([f"--config={config}"])) == Path(parent)


def test_a_name_is_given_as_the_version_of_the_logger() -> None:
    assert given_name(section(local(TENSORBOARD, save_dir="runs", version="mine"))) == "mine"
    assert given_name(section(local(TENSORBOARD, save_dir="runs", version=3))) == "version_3"
    assert given_name(section(local(TENSORBOARD, save_dir="runs"))) is None
    assert given_name(section(False)) is None


@pytest.mark.parametrize(
    "logger",
    [
        local(TENSORBOARD, save_dir="runs", name="tiny"),
        local(TENSORBOARD, save_dir="elsewhere"),
        [local(TENSORBOARD, save_dir="runs", name="tiny"), local(CSV, save_dir="csv", version="old")],
        True,
        None,
    ],
)
def test_loggers_that_write_files_write_into_the_folder_of_the_run(logger: Any) -> None:
    trainer = section(logger)
    point_at(trainer, FOLDER)
    assert trainer.default_root_dir == str(FOLDER)
    for each in trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]:
        found = each.init_args
        assert Path(found.save_dir) / (found.name or "") / found.version == FOLDER


def test_a_logger_that_writes_to_a_service_keeps_its_copy_in_the_folder_of_the_run() -> None:
    trainer = section({"class_path": "x.WandbLogger", "init_args": {"save_dir": ".", "name": None, "project": "p"}})
    point_at(trainer, FOLDER)
    assert trainer.logger.init_args.as_dict() == {"save_dir": str(FOLDER), "name": FOLDER.name, "project": "p"}


def test_places_of_services_that_the_user_has_set_stay() -> None:
    trainer = section({"class_path": "x.WandbLogger", "init_args": {"save_dir": "/mine", "name": "n"}})
    point_at(trainer, FOLDER)
    assert trainer.logger.init_args.as_dict() == {"save_dir": "/mine", "name": "n"}


def test_no_logger_stays_none_and_everything_else_goes_into_the_folder() -> None:
    trainer = section(False, "somewhere")
    point_at(trainer, FOLDER)
    assert (trainer.logger, trainer.default_root_dir) == (False, str(FOLDER))


def test_metrics_of_an_earlier_attempt_are_kept(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / "metrics.csv").write_text(text)
        keep_csv(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "metrics-1.csv": "first",
        "metrics-2.csv": "second",
    }
