"""A run on several ranks has one folder, however its processes were started."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_training import arguments

pytestmark = pytest.mark.distributed

FLAGS = (
    "--config=configs/hardware/ddp.yaml", "--trainer.accelerator=cpu", "--trainer.limit_val_batches=0",
    "--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint",
    "--callbacks.checkpoint.every_n_train_steps=1", "--ckpt_path=last",
)  # fmt: skip


def started(command: list[str], **ranks: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **ranks}
    return subprocess.Popen(
        [sys.executable, "train.py", *command], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip


def ended(command: list[str], *, outside: bool) -> None:
    """Run a command on two ranks, started by Lightning or as torchrun starts them."""
    if not outside:
        processes = [started(command)]
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "GROUP_RANK": "0",
                  "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": port, "TORCHELASTIC_RESTART_COUNT": "0",
                  "TORCHELASTIC_MAX_RESTARTS": "0"}  # fmt: skip
        processes = [started(command, **common, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(2)]
    for process in processes:
        try:
            _, errors = process.communicate(timeout=200)
        finally:
            process.kill()
        assert process.returncode == 0, errors[-3000:]


@pytest.mark.parametrize("outside", [False, True], ids=["Lightning", "torchrun"])
def test_two_ranks_share_one_folder_and_go_on_in_it(root: Path, tmp_path: Path, outside: bool) -> None:
    line = [*arguments("fit", root / "policy", *FLAGS), f"--trainer.logger.save_dir={tmp_path}"]
    for steps in (1, 2):
        ended([*line, f"--trainer.max_steps={steps}"], outside=outside)
    (folder,) = (tmp_path / "tiny").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert [attempt["from_step"] for attempt in record["attempts"]] == [0, 1]
    assert (record["status"], record["step"]) == ("finished", 2)
    assert (folder / "checkpoints" / "last.ckpt").exists()
