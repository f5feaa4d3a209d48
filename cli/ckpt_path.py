"""Checks the value of ``--ckpt_path`` and compares the checkpoint with the run, before any model is loaded."""

import logging
from pathlib import Path

import lightning.pytorch as L
from lightning.pytorch.callbacks import ModelCheckpoint

from algorithms import ConfigError
from cli.keys.nearest import nearest
from lightning_modules import FSDP2Strategy
from lightning_modules.identity import KEY, check_identity, run_identity
from storage import UnreadableCheckpoint, newest_readable, read_checkpoint

_SUFFIX = ".ckpt"
# Words that Lightning resolves itself, to files that it wrote for the job's scheduler.
_LIGHTNINGS = ("hpc",)

logger = logging.getLogger(__name__)


def check_ckpt_path(ckpt_path: str | None) -> None:
    """Refuse a value that cannot be a checkpoint, before anything is built.

    Args:
        ckpt_path: value as the user typed it.

    Raises:
        ConfigError: for a path that cannot be read, an address, or an unknown word.
    """
    if ckpt_path is None or ckpt_path in ("last", *_LIGHTNINGS):
        return
    if not str(ckpt_path).strip() or str(ckpt_path) == ".":
        raise ConfigError("--ckpt_path has no value: give a checkpoint, or last.")
    if ckpt_path == "best":
        raise ConfigError(
            "ckpt_path best is known at the end of a training run only: give the path of a checkpoint, or last."
        )
    if "://" in str(ckpt_path):
        raise ConfigError(
            f"ckpt_path must be a file or folder on this machine, got {ckpt_path}: download it first "
            "and give the path of the copy."
        )
    _check_readable(Path(ckpt_path))


def resolved(ckpt_path: str | None, trainer: L.Trainer, source: Path | None = None) -> str | None:
    """Return the checkpoint that a run starts from.

    ``last`` is the newest ``last.ckpt`` of the run's checkpoint callbacks. If it cannot be read, the newest readable
    checkpoint beside it is used, and a warning names both. Where there are no checkpoints at all, Lightning starts from
    step 0.

    Args:
        ckpt_path: value as the user typed it, accepted by ``check_ckpt_path``.
        trainer: not started yet.
        source: folder of the run to which ``last`` refers, if it is not the folder of this command.

    Raises:
        ConfigError: when there are checkpoints and none can be read.
    """
    if ckpt_path is None or ckpt_path in _LIGHTNINGS:
        return ckpt_path
    if ckpt_path != "last":
        return str(ckpt_path)
    folders = [checkpoint_folder(trainer, c) for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    folders += [source / "checkpoints"] if source and source / "checkpoints" not in folders else []
    links = [link for folder in folders for link in folder.glob(f"last*{_SUFFIX}")]
    if links:
        return str(_readable(max(links, key=_time)))
    beside = [path for folder in folders for path in folder.glob(f"*{_SUFFIX}")]
    if beside:
        return str(_instead(folders[0] / f"last{_SUFFIX}", "does not exist", beside))
    logger.warning("ckpt_path last: no run of this name has a checkpoint yet, so this one starts at step 0.")
    return ckpt_path


def check_run(
    ckpt_path: str | None,
    trainer: L.Trainer,
    module: L.LightningModule,
    data: L.LightningDataModule | None,
    *,
    command: str,
) -> None:
    """Refuse a checkpoint whose run this command cannot continue.

    Args:
        ckpt_path: from ``resolved``.
        trainer: the trainer, not started yet.
        module: the module of the run.
        data: the data module of the run.
        command: ``fit`` compares everything, other commands only the settings on which weights depend.

    Raises:
        ConfigError: names the differences; or the folder of slices that the strategy cannot read.
    """
    if ckpt_path is None or ckpt_path in (*_LIGHTNINGS, "last"):
        return
    path = Path(ckpt_path)
    if path.is_dir() and not isinstance(trainer.strategy, FSDP2Strategy):
        # The strategy's own error explains it; see cli/strategies.py.
        raise IsADirectoryError(21, "is a folder of slices", str(path))
    saved = read_checkpoint(path).get(KEY)
    if saved is None:
        logger.warning("%s does not hold the settings of its run: they are not compared with this one's.", path)
        return
    present = run_identity(trainer, module, data)
    check_identity(saved, present, path=path, resumes=command == "fit")


def checkpoint_folder(trainer: L.Trainer, callback: ModelCheckpoint) -> Path:
    """Return the folder of a checkpoint callback, before the run has started. Lightning finds it only in ``setup``."""
    if callback.dirpath is not None:
        return Path(callback.dirpath)
    if not trainer.loggers:
        return Path(trainer.default_root_dir) / "checkpoints"
    first = trainer.loggers[0]
    version = first.version if isinstance(first.version, str) else f"version_{first.version}"
    return Path(first.save_dir or trainer.default_root_dir) / str(first.name) / version / "checkpoints"


def _check_readable(path: Path) -> None:
    """Refuse a path that the user named, if it cannot be read."""
    try:
        read_checkpoint(path)
    except UnreadableCheckpoint as problem:
        beside = newest_readable(other for other in path.parent.glob(f"*{_SUFFIX}") if other != path)
        hint = f"the newest beside it that can be read is {beside}." if beside else "no other beside it can be read."
        if not path.exists() and (word := nearest(str(path), ("last", *_LIGHTNINGS))):
            hint = f"did you mean {word}?"
        raise ConfigError(f"ckpt_path {path} {problem}; {hint}") from None


def _readable(link: Path) -> Path:
    """Return a ``last.ckpt``, or the checkpoint that is used instead."""
    try:
        read_checkpoint(link)
    except UnreadableCheckpoint as problem:
        return _instead(link, str(problem), list(link.parent.glob(f"*{_SUFFIX}")))
    return link


def _instead(link: Path, problem: str, beside: list[Path]) -> Path:
    """Return the newest readable checkpoint, with a warning."""
    found = newest_readable(path for path in beside if path != link)
    if found is None:
        names = ", ".join(sorted(path.name for path in beside)) or "no other"
        raise ConfigError(
            f"ckpt_path last: {link} {problem}, and no checkpoint in {link.parent} can be read (there is {names}); "
            "remove them to start from step 0."
        )
    logger.warning("ckpt_path last: %s %s; the run goes on from %s.", link, problem, found)
    return found


def _time(path: Path) -> int:
    # Time of the link itself, because its target may be missing.
    return path.lstat().st_mtime_ns
