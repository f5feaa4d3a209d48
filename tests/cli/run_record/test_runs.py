"""Real runs of the tiny world keep themselves apart, and leave a record that says what they were."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import yaml
from lightning.pytorch.callbacks import Callback

from algorithms import ConfigError
from cli.app import main, run
from cli.run_record.starting_policy import weights_digest
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

SHORT = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0")
SAVING = (
    "--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint",
    "--callbacks.checkpoint.every_n_train_steps=1",
)  # fmt: skip


class EndsBadly(Callback):
    """Ends a run in the middle of its second batch."""

    def __init__(self, how: str) -> None:
        self.how = how

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 1:
            if self.how == "error":
                raise RuntimeError("the disk is full")
            os.kill(os.getpid(), signal.SIGTERM)


def records(root: Path) -> dict[str, dict[str, Any]]:
    return {file.parent.name: json.loads(file.read_text()) for file in root.rglob("run.json")}


def everything(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and "events" not in path.name}


@pytest.mark.long
def test_overlays_and_second_starts_and_validations_never_touch_an_earlier_run(policy_folder: Path) -> None:
    root = policy_folder.parent / "tiny"
    run(arguments("fit", policy_folder, *SHORT))
    (first,) = records(root)
    before = everything(root / first)
    run(arguments("fit", policy_folder, "--config=configs/ablations/replay/no_ssb.yaml", *SHORT))
    # The saved config starts the same run anew, under its own name.
    run(["fit", f"--config={root / first / 'config.yaml'}"])
    run(arguments("test", policy_folder))
    predicted = run(arguments("predict", policy_folder))
    assert everything(root / first) == before
    names = [first, f"{first}-2", f"{first}-test", f"{first}-predict", first.replace("grpo-", "grpo-no_ssb-")]
    assert set(records(root)) == set(names)
    assert {path.parent for path in root.rglob("config.yaml")} == {root / name for name in names}
    assert Path(predicted.trainer.log_dir, "predictions.jsonl").is_file()
    assert records(root)[f"{first}-test"]["metrics"].keys() >= {"test/greedy_accuracy", "test/hallucination_rate"}


def test_a_run_that_goes_on_stays_in_its_folder_and_keeps_its_first_config(policy_folder: Path) -> None:
    root = policy_folder.parent / "tiny"
    run(arguments("fit", policy_folder, *SAVING, "--trainer.max_steps=1"))
    run(arguments("fit", policy_folder, *SAVING, "--trainer.max_steps=2", "--ckpt_path=last"))
    ((name, record),) = records(root).items()
    assert [attempt["from_step"] for attempt in record["attempts"]] == [0, 1]
    assert record["step"] == 2
    assert record["starts_from"]["path"] == str(policy_folder)
    assert record["starts_from"]["first_weights"] == record["starts_from"]["weights"] == weights_digest(policy_folder)
    steps = [
        yaml.safe_load((root / name / f).read_text())["trainer"]["max_steps"] for f in ("config.yaml", "config-2.yaml")
    ]
    assert steps == [1, 2]


@pytest.mark.parametrize(
    ("logger", "command"),
    [
        ("false", "validate"), ("lightning.pytorch.loggers.CSVLogger", "fit"), ("none of a fast_dev_run", "predict"),
        pytest.param("false", "fit", marks=pytest.mark.slow), pytest.param("true", "predict", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_with_any_logger_nothing_is_written_outside_of_the_runs(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch, logger: str, command: str
) -> None:
    elsewhere = policy_folder.parent / "elsewhere"
    elsewhere.mkdir()
    config = Path("configs").absolute()
    line = arguments(command, policy_folder, *SAVING, *SHORT)
    line = [
        flag for flag in line if not flag.startswith(("--trainer.logger", "--trainer.default_root_dir", "--config"))
    ]
    flags = [f"--trainer.logger={logger}", *(["--trainer.logger.save_dir=runs"] if "CSV" in logger else [])]
    monkeypatch.chdir(elsewhere)
    flags = ["--trainer.fast_dev_run=true"] if "fast_dev_run" in logger else flags
    run([line[0], f"--config={config}/tiny/grpo.yaml", *line[1:], *flags])
    assert [path.name for path in elsewhere.iterdir()] == ["runs"]
    (record,) = elsewhere.rglob("run.json")
    (config_file,) = elsewhere.rglob("config.yaml")
    assert config_file.parent == record.parent
    inside = {path for path in elsewhere.rglob("*") if path.is_file() and record.parent not in path.parents}
    assert inside == set()


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("error", "failed", "RuntimeError: the disk is full"),
        ("SIGTERM", "stopped", "SIGTERM"),
    ],
)
def test_a_run_that_ends_badly_leaves_its_record_and_ends_with_three_lines(
    policy_folder: Path, capsys: pytest.CaptureFixture[str], how: str, status: str, reason: str
) -> None:
    bad = ("--callbacks.bad=tests.cli.run_record.test_runs.EndsBadly", f"--callbacks.bad.how={how}")
    with pytest.raises((RuntimeError, SystemExit)):
        main(arguments("fit", policy_folder, *SAVING, "--trainer.limit_val_batches=0", *bad))
    ((name, record),) = records(policy_folder.parent / "tiny").items()
    folder = policy_folder.parent / "tiny" / name
    assert (record["status"], record["reason"]) == (status, reason)
    # SIGTERM is acted upon at the next batch.
    assert record["step"] == (2 if how == "SIGTERM" else 1)
    assert "train/loss" in record["metrics"]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("run:", "resume:", "see:"))]
    assert lines[0].startswith(f"run:     {folder}  ({status}")
    newest = (f"step={record['step']}.ckpt", "last.ckpt")
    assert lines[1].endswith(tuple(f"--ckpt_path={folder}/checkpoints/{name}" for name in newest))
    assert lines[2] == f"see:     tensorboard --logdir {folder}"


def test_a_wrong_setting_leaves_no_folder(policy_folder: Path) -> None:
    for wrong in ("--model.init_args.sampling.temperature=-1", "--data.init_args.micro_batches=3"):
        with pytest.raises(ConfigError):
            run(arguments("fit", policy_folder, *SHORT, wrong, "--trainer.accumulate_grad_batches=2"))
    assert list((policy_folder.parent / "tiny").iterdir()) == []


def test_the_bar_counts_steps_and_shows_neither_an_epoch_nor_a_version(
    policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = arguments("fit", policy_folder, "--trainer.max_steps=2", "--trainer.limit_val_batches=0")
    shown = [flag for flag in line if flag not in ("--callbacks.progress=null", "--trainer.enable_progress_bar=false")]
    # Without the project's bar a run would have Lightning's.
    cli = run([*shown, "--callbacks.progress=null"])
    assert type(cli.trainer.progress_bar_callback).__name__ == "RolloutProgressBar"
    text = capsys.readouterr().out
    assert "Training" in text
    assert "2/2" in text
    assert not any(word in text for word in ("Epoch", "v_num", "-2"))
