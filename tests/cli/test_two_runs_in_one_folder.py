"""Two runs never write to one folder at the same time."""

import subprocess
import sys
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


@pytest.mark.parametrize("name", ["tiny/grpo", "saved"])
def test_a_run_into_a_folder_of_a_run_that_is_still_going_is_refused(policy_folder: Path, name: str) -> None:
    folder = policy_folder.parent / name
    command = arguments(
        "fit", policy_folder, "--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint",
        f"--callbacks.checkpoint.dirpath={policy_folder.parent / 'saved'}",
    )  # fmt: skip
    holder = subprocess.Popen([sys.executable, "-c", _HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError, match=rf"another run writes to {folder} \(process {holder.pid} on "):
            run(command)
        # Before anything is written.
        assert {path.name for path in folder.iterdir()} == {"run.lock"}
    finally:
        holder.kill()
        holder.wait()
