"""The record of a run is whole however the run ends."""

import json
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from algorithms import ConfigError, DataError
from cli.run_record.closing import closing_lines, without_ckpt_path
from cli.run_record.folders import RunFolder, run_folder
from cli.run_record.names import RunName
from cli.run_record.recorded import RunEnding, discard, recorded, started_record
from cli.stop_signals import Stopped
from run_records import read_record
from storage import LOCK_NAME

NAME = RunName("grpo", 0, {"model.max_attempts": "3"})
ARGUMENTS = ["fit", "--config=configs/tiny/grpo.yaml", "--model.max_attempts=3"]


def trainer(step: int = 0, **metrics: float) -> Any:
    values = {name: torch.tensor(value) for name, value in metrics.items()}
    return SimpleNamespace(global_step=step, callback_metrics=values)


def claimed(parent: Path, ckpt_path: str | None = None) -> RunFolder:
    return run_folder(parent, NAME, command="fit", ckpt_path=ckpt_path, saved=())


def ran(folder: RunFolder, at: Any, error: BaseException | None = None, config: str = "a: 1\n") -> RunEnding:
    told = RunEnding()
    with suppress(BaseException), recorded(started_record(folder, "fit", ARGUMENTS), config, at, told):
        if error is not None:
            raise error
    return told


def test_a_finished_run_says_what_was_run_with_what_and_what_came_out(tmp_path: Path) -> None:
    ran(claimed(tmp_path), trainer(5, loss=0.5, broken=float("nan")))
    content = json.loads((tmp_path / "grpo-s0" / "run.json").read_text())
    assert content["status"] == "finished"
    assert (content["title"], content["seed"], content["flags"]) == ("grpo", 0, {"model.max_attempts": "3"})
    assert content["metrics"] == {"loss": 0.5, "broken": None}
    assert content["attempts"][0]["arguments"] == ARGUMENTS
    assert content["attempts"][0]["ended"] >= content["attempts"][0]["started"]
    assert content["versions"]["torch"] == torch.__version__
    assert {"commit", "is_dirty"} == set(content["git"])
    assert len(content["git"]["commit"]) == 40
    assert (tmp_path / "grpo-s0" / "config.yaml").read_text() == "a: 1\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Stopped(signal.SIGTERM), "stopped by SIGTERM at step 5"),
        (Stopped(signal.SIGINT), "stopped by SIGINT at step 5"),
        (RuntimeError("out of memory\nmore"), "failed with RuntimeError: out of memory at step 5"),
        (ConfigError("found late"), "failed with ConfigError: found late at step 5"),
        (SystemExit(3), "failed with SystemExit: 3 at step 5"),
    ],
)
def test_a_run_that_does_not_finish_says_why_and_keeps_its_metrics(
    tmp_path: Path, error: BaseException, told: str
) -> None:
    ran(claimed(tmp_path), trainer(5, loss=0.5), error)
    record = read_record(tmp_path / "grpo-s0")
    assert record is not None
    assert (record.told, record.metrics) == (told, {"loss": 0.5})


@pytest.mark.parametrize("error", [ConfigError("wrong"), DataError("none")])
def test_a_run_that_is_refused_before_its_first_step_leaves_its_name_free(tmp_path: Path, error: Exception) -> None:
    told = ran(claimed(tmp_path), trainer(), error)
    assert (list(tmp_path.iterdir()), told.record) == ([], None)


def test_what_a_refused_run_wrote_for_the_user_stays(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    (folder.path / "rejected_train.json").write_text("[]")
    ran(folder, trainer(), DataError("no row can be used"))
    assert [path.name for path in folder.path.iterdir()] == ["rejected_train.json"]


def test_a_killed_run_is_found_killed_and_goes_on_in_its_folder(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    started_record(folder, "fit", ARGUMENTS).write()
    killed = read_record(folder.path)
    assert killed is not None
    assert killed.status == "killed"
    (folder.path / "checkpoints").mkdir()
    (folder.path / "checkpoints" / "step=2.ckpt").touch()
    (folder.path / "config.yaml").write_text("a: 1\n")
    ran(claimed(tmp_path, "last"), trainer(7, loss=0.1), config="a: 2\n")
    record = read_record(folder.path)
    assert record is not None
    assert [attempt.status for attempt in record.attempts] == ["killed", "finished"]
    assert (folder.path / "config.yaml").read_text() == "a: 1\n"
    assert (folder.path / "config-2.yaml").read_text() == "a: 2\n"


def test_a_refused_resume_leaves_the_record_as_it_was(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    ran(folder, trainer(5, loss=0.5))
    before = (folder.path / "run.json").read_text()
    ran(RunFolder(folder.path, NAME, is_new=False), trainer(), ConfigError("another policy"))
    assert (folder.path / "run.json").read_text() == before
    assert not (folder.path / "config-2.yaml").exists()


def test_a_record_that_is_none_is_named(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    (tmp_path / "run.json").write_text('{"status": "finished"}')
    with pytest.raises(DataError, match=r"run\.json is not the record of a run: KeyError: 'attempts'"):
        read_record(tmp_path)


def test_the_last_lines_say_where_how_to_resume_and_how_to_see(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    told = ran(folder, trainer(5), Stopped(signal.SIGTERM))
    assert told.record is not None
    where, resume, see = closing_lines(told.record)
    assert f"{folder.path}  (stopped by SIGTERM at step 5, " in where
    assert "no checkpoint to resume from" in resume
    assert see.endswith(f"{folder.path}/run.json")
    (folder.path / "checkpoints").mkdir()
    torch.save({"state_dict": {}}, folder.path / "checkpoints" / "step=5.ckpt")
    (folder.path / "events.out.tfevents.1.a.1.0").touch()
    _, resume, see = closing_lines(told.record)
    assert resume.endswith(
        "python train.py fit --config=configs/tiny/grpo.yaml --model.max_attempts=3 "
        f"--ckpt_path={folder.path}/checkpoints/step=5.ckpt"
    )
    assert see.endswith(f"tensorboard --logdir {folder.path}")


def test_a_run_that_saves_and_has_written_no_checkpoint_yet_is_told_how_often_it_is_written(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    told = ran(folder, trainer(5), Stopped(signal.SIGTERM))
    assert told.record is not None
    (attempt,) = told.record.attempts
    saving = replace(attempt, arguments=(*attempt.arguments, "--callbacks.checkpoint=callbacks.StepCheckpoint"))
    _, resume, _ = closing_lines(replace(told.record, attempts=(saving,)))
    assert "no checkpoint yet; --callbacks.checkpoint.every_n_train_steps=N" in resume


def test_a_run_that_was_refused_leaves_nothing_also_where_it_would_have_saved_checkpoints(tmp_path: Path) -> None:
    for kept in ((), ("step=1.ckpt",)):
        folder = claimed(tmp_path)
        saves_at = folder.path / "checkpoints"
        saves_at.mkdir()
        for name in (LOCK_NAME, *kept):
            (saves_at / name).touch()
        discard(folder.path)
        assert [path.name for path in saves_at.glob("*")] == list(kept)
        assert folder.path.exists() == bool(kept)


def test_what_a_run_has_written_for_others_to_read_is_named_at_its_end(tmp_path: Path) -> None:
    folder = claimed(tmp_path)
    told = ran(folder, trainer(5), None)
    assert told.record is not None
    (folder.path / "export").mkdir()
    (folder.path / "predictions.jsonl").touch()
    lines = closing_lines(told.record)
    assert f"export:  {folder.path}/export" in lines
    assert f"written: {folder.path}/predictions.jsonl" in lines


def test_checkpoints_in_a_folder_of_the_users_are_resumed_by_last(tmp_path: Path) -> None:
    told = ran(claimed(tmp_path), trainer(5))
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "last.ckpt").touch()
    assert told.record is not None
    assert closing_lines(told.record, [tmp_path / "saved"])[1].endswith("--ckpt_path=last")


def test_what_a_run_was_resumed_from_is_taken_off_its_command_in_both_spellings() -> None:
    assert without_ckpt_path(["fit", "--ckpt_path", "a", "--x=1", "--ckpt_path=b"]) == ["fit", "--x=1"]
