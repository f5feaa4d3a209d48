"""A run that a signal stops ends with the status of that signal, and says how to go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as L
import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException

from callbacks import StepCheckpoint
from cli.app import main
from cli.stop_signals import Stopped, stop_status
from run_records import read_record
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

ENDLESS = ("--trainer.max_steps=100000", "--trainer.limit_val_batches=0")


def saving(folder: Path) -> list[str]:
    return [
        "--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint",
        f"--callbacks.checkpoint.dirpath={folder}", "--callbacks.checkpoint.every_n_train_steps=1",
    ]  # fmt: skip


def stopped(command: list[str], number: signal.Signals, when: Callable[[], bool]) -> tuple[int, str]:
    """Send a signal to a real run as soon as a condition holds; return its status and its error output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "train.py", *command], stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while not when():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, errors


class Signalled(L.Callback):
    """Sends its own process a signal after the second batch, as a scheduler or a terminal would."""

    def __init__(self, number: int) -> None:
        self.number = number

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs, batch, batch_idx) -> None:
        if batch_idx == 1:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_training_ends_the_command_with_its_status_and_names_the_checkpoint(
    policy_folder: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals, status: int
) -> None:
    folder = policy_folder.parent / "saved"
    signalled = ("--callbacks.signalled=tests.cli.test_runs_stopped_by_a_signal.Signalled",
                 f"--callbacks.signalled.number={int(number)}")  # fmt: skip
    # Not endless: without the signal the test ends and fails.
    length = ("--trainer.max_steps=20", "--trainer.limit_val_batches=0")
    with pytest.raises(SystemExit) as ended:
        main(arguments("fit", policy_folder, *length, *saving(folder), *signalled))
    assert ended.value.code == status
    told = capsys.readouterr().err
    assert f"stopped by {number.name} at step " in told
    assert "--ckpt_path=last" in told


@pytest.mark.long
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_training_run_ends_with_the_status_of_its_signal_and_names_its_checkpoint(
    policy_folder: Path, number: signal.Signals, status: int
) -> None:
    folder = policy_folder.parent / "saved"
    command = arguments("fit", policy_folder, *ENDLESS, *saving(folder))
    code, errors = stopped(command, number, (folder / "last.ckpt").exists)
    assert code == status, errors
    sentence = next(line for line in errors.splitlines() if line.startswith(f"stopped by {number.name} at step "))
    newest = max(folder.glob("step=*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    assert f"the newest checkpoint is {newest}" in sentence
    assert "--ckpt_path=last" in sentence
    assert "Traceback" not in errors


def test_a_signal_while_a_checkpoint_is_written_names_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = StepCheckpoint(every_n_train_steps=1, dirpath=str(tmp_path))
    checkpoint.written = ["step=1.ckpt", "step=2.ckpt"]
    checkpoint.best_model_path = str(tmp_path / "step=2.ckpt")
    (tmp_path / "step=1.ckpt").touch()
    trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=[checkpoint])
    with pytest.raises(Stopped), stop_status(trainer, "fit"):
        raise SIGTERMException
    assert f"the newest checkpoint is {tmp_path / 'step=1.ckpt'}" in capsys.readouterr().err


def test_a_run_that_saves_and_is_stopped_before_its_first_checkpoint_is_not_told_to_save(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=[StepCheckpoint(dirpath=str(tmp_path))])
    with pytest.raises(Stopped), stop_status(trainer, "fit"):
        raise SIGTERMException
    told = capsys.readouterr().err
    assert "there is no checkpoint yet" in told
    assert "callbacks.StepCheckpoint" not in told


@pytest.mark.long
def test_a_run_without_checkpoints_ends_with_the_status_too(policy_folder: Path) -> None:
    logs = policy_folder.parent / "tiny" / "mine"
    has_started = lambda: any(logs.glob("events*")) and (logs / "config.yaml").exists()  # noqa: E731
    command = arguments("fit", policy_folder, *ENDLESS, "--trainer.logger.version=mine")
    code, errors = stopped(command, signal.SIGTERM, has_started)
    # The default action of the signal, before training has started, ends the process with the signal itself.
    assert code in (143, -signal.SIGTERM), errors
    assert code != 143 or "there is no checkpoint" in errors
    record = read_record(logs)
    assert record is not None
    assert record.status == ("stopped" if code == 143 else "killed")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "cpu2"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_on_two_ranks_ends_with_the_status_on_all_of_them(
    policy_folder: Path, strategy: str, number: signal.Signals, status: int
) -> None:
    folder = policy_folder.parent / "saved"
    overlay = f"--config=configs/hardware/{strategy}.yaml"
    command = arguments("fit", policy_folder, overlay, *ENDLESS, *saving(folder), "--trainer.accelerator=cpu")
    code, errors = stopped(command, number, (folder / "last.ckpt").exists)
    assert code == status, errors
    lines = [line for line in errors.splitlines() if line.startswith(f"stopped by {number.name} at step")]
    assert len(lines) == 1, errors
