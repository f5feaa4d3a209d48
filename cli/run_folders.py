"""The folders that a training run writes to, locked against a second run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import lightning.pytorch as L
from lightning.pytorch.callbacks import ModelCheckpoint

from algorithms import ConfigError
from cli.ckpt_path import checkpoint_folder
from storage import FolderInUse, folder_lock


@contextmanager
def locked_folders(trainer: L.Trainer) -> Iterator[None]:
    """Lock the log folder and the folders of checkpoints while the context is open. Only rank 0 locks, and writes.

    Raises:
        ConfigError: when another process trains into one of them.
    """
    with ExitStack() as locks:
        if trainer.is_global_zero and not trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            for folder in _folders(trainer):
                try:
                    locks.enter_context(folder_lock(folder))
                except FolderInUse as error:
                    raise ConfigError(
                        f"trainer.logger: another run writes to {error.folder} ({error.holder or 'another process'}), "
                        "and two would mix their logs and checkpoints: wait for it, or give this one a folder of its "
                        "own, as with --trainer.logger.version=NAME (callbacks.checkpoint.dirpath, where that is set)."
                    ) from None
        yield


def _folders(trainer: L.Trainer) -> set[Path]:
    # A logger that writes to a service has no folder.
    logs = {Path(logger.log_dir) for logger in trainer.loggers if logger.log_dir is not None}
    saving = {checkpoint_folder(trainer, c) for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)}
    return {folder.resolve() for folder in logs | saving}
