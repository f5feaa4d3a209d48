"""Chooses the folder of a run's checkpoints: the run's folder, with any logger, or the folder that the user has set."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch.callbacks import ModelCheckpoint

from algorithms import ConfigError


def given_checkpoint_folders(section: Namespace) -> list[Path]:
    """Return the folders that the user has set for checkpoints.

    Args:
        section: the parsed config of a command.
    """
    return [Path(found.dirpath) for found in _settings(section) if found.get("dirpath")]


def check_saves(section: Namespace) -> None:
    """Refuse callbacks that save checkpoints where the config switches checkpoints off.

    Args:
        section: the parsed config of a command.

    Raises:
        ConfigError: names the flag that switches checkpoints on.
    """
    if section.trainer.get("enable_checkpointing") is False and any(True for _ in _settings(section)):
        raise ConfigError(
            "trainer.enable_checkpointing is false, but a callback saves checkpoints: add "
            "--trainer.enable_checkpointing=true, or set the callback to null."
        )


def point_checkpoints_at(section: Namespace, folder: Path) -> None:
    """Let callbacks without a folder of their own save into this folder.

    Lightning derives the folder from the first logger, and a logger that writes to a service has a new folder for each
    start.

    Args:
        section: the parsed config of a command; changed in place.
        folder: the folder.
    """
    for settings in _settings(section):
        if settings.get("dirpath") is None:
            settings["dirpath"] = str(folder)


def _settings(section: Namespace) -> Iterator[Namespace]:
    """Yield the settings of every callback that saves checkpoints."""
    named = vars(section.get("callbacks") or Namespace()).values()
    # A config may use Lightning's own list of callbacks beside callbacks by name.
    listed = section.trainer.get("callbacks") or []
    for each in [*named, *(listed if isinstance(listed, list) else [listed])]:
        if isinstance(each, Namespace) and "class_path" in each:
            module, _, name = each.class_path.rpartition(".")
            if issubclass(getattr(import_module(module), name), ModelCheckpoint):
                if "init_args" not in each:
                    each["init_args"] = Namespace()
                yield each.init_args
