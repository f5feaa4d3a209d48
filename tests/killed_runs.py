"""Runs in processes of their own that are killed with SIGKILL at a chosen moment, for the tests of resuming.

The processes are forked from a server that has imported everything already, so each starts at once.
"""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback

from callbacks import step_checkpoint
from rollouts import TransformersEngine

# In the order in which they come within a batch.
MOMENTS = ("sampling", "backward", "end", "writing", "linking", "removing")

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["cli.app", "tests.killed_runs"])


class KilledAt(Callback):
    """Kills its own process, as a power cut would, at a moment within a training batch."""

    def __init__(self, moment: str, batch: int, starts: str) -> None:
        """Set when to kill.

        Args:
            moment: one of ``MOMENTS`` of the training batch with this number.
            batch: that number.
            starts: file to which the optimizer step at the start of training is appended.
        """
        self.moment, self.batch, self.starts = moment, batch, Path(starts)
        self.present = -1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with self.starts.open("a") as file:
            file.write(f"{trainer.global_step}\n")

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch, batch_idx: int) -> None:
        self.present = batch_idx
        if self.moment == "sampling" and batch_idx == self.batch:
            TransformersEngine.generate = self._die  # type: ignore[method-assign]

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.moment == "backward" and self.present == self.batch:
            self._die()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args) -> None:
        if self.present != self.batch:
            return
        # Checkpoints are written after this hook.
        if self.moment == "end":
            self._die()
        elif self.moment == "writing":
            torch.save = self._die_halfway
        elif self.moment == "linking":
            step_checkpoint.replace_link = self._die
        elif self.moment == "removing":
            step_checkpoint.remove = self._die

    def _die_halfway(self, content: object, path: Path) -> None:
        path.write_bytes(b"PK" + bytes(1000))
        self._die()

    def _die(self, *args, **kwargs) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def run_apart(arguments: Sequence[str], weights: Path, *, timeout_seconds: float = 120.0) -> int:
    """Run a command in another process, write the policy's weights when it ends, and return its exit code."""
    process = _CONTEXT.Process(target=_run, args=(list(arguments), weights))
    process.start()
    process.join(timeout_seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError(f"still running after {timeout_seconds} s: {arguments}")
    assert process.exitcode is not None
    return process.exitcode


def _run(arguments: list[str], weights: Path) -> None:
    torch.set_num_threads(1)
    from cli.app import run

    cli = run(arguments)
    torch.save(cli.model.policy.model.state_dict(), weights)
