"""Locks the folders that a run writes to against a second run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import lightning.pytorch as L
from lightning.pytorch.callbacks import ModelCheckpoint

from algorithms import ConfigError
from cli.ckpt_path import checkpoint_folder
from storage import FolderInUse, folder_lock


@contextmanager
def locked_folders(trainer: L.Trainer, folder: Path, command: str) -> Iterator[None]:
    """Lock the run's folder, and for training those of logs and checkpoints, while the context is open.

    Args:
        trainer: not started yet.
        folder: the run's folder.
        command: fit, validate, test or predict.

    Raises:
        ConfigError: when another process trains into one of them.
    """
    with ExitStack() as locks:
        for each in {folder.resolve(), *(_folders(trainer) if command == "fit" else ())}:
            try:
                locks.enter_context(folder_lock(each))
            except FolderInUse as error:
                raise ConfigError(
                    f"trainer.logger: another run writes to {error.folder} ({error.holder or 'another process'}), "
                    "and two would mix their logs and checkpoints: wait for it, leave --ckpt_path out to start a new "
                    "run, or give this one another callbacks.checkpoint.dirpath, where that is set."
                ) from None
        yield


def _folders(trainer: L.Trainer) -> set[Path]:
    if trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
        # Lightning has replaced the config's loggers by loggers that write nothing.
        return set()
    # A logger that writes to a service has no folder.
    logs = {Path(logger.log_dir) for logger in trainer.loggers if logger.log_dir is not None}
    saving = {checkpoint_folder(trainer, c) for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)}
    return {folder.resolve() for folder in logs | saving}
