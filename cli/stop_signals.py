"""Lets a run end with the status of the signal that stopped it: 143 for SIGTERM, 130 for Ctrl-C.

Lightning ends an interrupted run with status 0 after SIGTERM and with 1 after Ctrl-C, so a scheduler or ``make`` would
take a stopped run for a finished one.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from callbacks import StepCheckpoint


class Stopped(SystemExit):
    """A run was stopped by a signal. The status is 128 plus its number, as in a shell."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(128 + number)
        self.number = number


class StopSignal(L.Callback):
    """Stops a run at the first batch after SIGTERM, on all ranks at once.

    Lightning's own handler makes a collective call at any moment, perhaps during another collective call; ranks would
    then block.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self._received = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Install the signal handlers."""
        self._listen(trainer)

    on_sanity_check_start = on_validation_start = on_test_start = on_predict_start = on_train_start

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop when a signal has come and every rank has reached this batch."""
        # Not at the end of a batch, because a later callback writes the checkpoint of the last step there.
        if trainer.world_size == 1:
            self._stop_if(self._received)
            return
        flag = torch.tensor(float(self._received), device=trainer.strategy.root_device)
        self._stop_if(bool(trainer.strategy.reduce(flag, reduce_op="sum")))

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop; a training run on several ranks stops at its next training batch instead."""
        # Ranks may have different numbers of validation batches, so they can agree only at a training batch.
        self._stop_if(self._received and (trainer.world_size == 1 or trainer.state.fn != TrainerFn.FITTING))

    def on_test_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop."""
        self._stop_if(self._received)

    on_predict_batch_start = on_test_batch_start

    def _listen(self, trainer: L.Trainer) -> None:
        def receive(number: int, frame: object) -> None:
            # Only the first signal counts: processes that this one started may get it from the scheduler too.
            if not self._received and trainer.strategy.launcher is not None:
                trainer.strategy.launcher.kill(signal.SIGTERM)
            self._received = True

        # Python accepts handlers in the main thread only. Lightning restores the earlier handler when the run ends.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, receive)

    @staticmethod
    def _stop_if(is_stopped: bool) -> None:
        if is_stopped:
            raise Stopped(signal.SIGTERM)


@contextmanager
def stop_status(trainer: L.Trainer, command: str, *, building: str | None = None) -> Iterator[None]:
    """Turn Lightning's exception for a signal into ``Stopped``, and print a sentence on the error output.

    Args:
        trainer: not started yet.
        command: fit, validate, test or predict.
        building: text such as ``Building adapter`` when the run only builds a model for another run; else empty.
    """
    try:
        yield
    except SystemExit as error:
        number = _signal_of(error)
        if number is None:
            raise
        if trainer.is_global_zero:
            whence = _whence(trainer) if command == "fit" else ""
            if building is not None:
                whence = f" while {building.lower()}: nothing of it is kept; the same command begins it anew."
            sys.stderr.write(f"stopped by {number.name}{whence}\n")
        stopped = Stopped(number)
        if trainer.local_rank != 0:
            # The first process of a machine gives the status. Lightning's launcher would kill it, with another status,
            # as soon as a process that it started ends with an error.
            stopped.code = 0
        raise stopped from None


def _signal_of(error: SystemExit) -> signal.Signals | None:
    """Return the signal that ended a run; None when no signal did."""
    if isinstance(error, Stopped):
        return error.number
    if isinstance(error, SIGTERMException):
        return signal.SIGTERM
    # Lightning catches the interrupt and raises SystemExit while handling it.
    return signal.SIGINT if isinstance(error.__context__, KeyboardInterrupt) else None


def newest_checkpoint(trainer: L.Trainer) -> Path | None:
    """Return the newest checkpoint of a run; None when it has written none."""
    saved = [path for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) for path in _newest_first(c)]
    return next((path for path in saved if path.exists()), None)


def _whence(trainer: L.Trainer) -> str:
    """Return from which checkpoint the run can continue, as the end of a sentence."""
    at = f" at step {trainer.global_step}"
    if newest := newest_checkpoint(trainer):
        return f"{at}: the newest checkpoint is {newest}; the same command with --ckpt_path=last goes on from it."
    if trainer.checkpoint_callbacks:
        return f"{at}, and there is no checkpoint yet: none of the steps so far was one at which it is written."
    return f"{at}, and there is no checkpoint: callbacks.StepCheckpoint writes one every few steps."


def _newest_first(callback: ModelCheckpoint) -> list[Path]:
    """Return the checkpoints that a callback has written, or was writing when the signal came."""
    if isinstance(callback, StepCheckpoint):
        return [callback.folder / name for name in reversed(callback.written)]
    return [Path(path) for path in (callback.best_model_path, callback.last_model_path) if path]
