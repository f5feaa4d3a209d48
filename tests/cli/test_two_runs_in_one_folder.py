"""Two runs never write to one folder at the same time."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from algorithms import ConfigError
from cli.app import run
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

_HOLDS = """
import sys, time
from pathlib import Path
from storage import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


SAVING = ("--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint")
SHORT = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--trainer.logger.version=mine")


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Let another process hold a folder, and give its number."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def test_a_run_into_checkpoints_of_a_run_that_is_still_going_is_refused(policy_folder: Path) -> None:
    saved = policy_folder.parent / "saved"
    command = arguments("fit", policy_folder, *SAVING, f"--callbacks.checkpoint.dirpath={saved}", *SHORT)
    with held(saved) as holder:
        with pytest.raises(ConfigError, match=rf"another run writes to {saved} \(process {holder} on "):
            run(command)
        # Before anything is written.
        assert {path.name for path in saved.iterdir()} == {"run.lock"}
        assert list((policy_folder.parent / "tiny").iterdir()) == []


@pytest.mark.long
def test_a_run_that_is_still_going_is_not_resumed(policy_folder: Path) -> None:
    command = arguments("fit", policy_folder, *SAVING, *SHORT, "--callbacks.checkpoint.every_n_train_steps=1")
    run(command)
    folder = policy_folder.parent / "tiny" / "mine"
    before = (folder / "run.json").read_text()
    with held(folder) as holder:
        with pytest.raises(ConfigError, match=rf"another run writes to {folder} \(process {holder} on "):
            run([*command, "--ckpt_path=last"])
        assert (folder / "run.json").read_text() == before
        run(command)
    assert {path.name for path in folder.parent.iterdir()} == {"mine", "mine-2"}
