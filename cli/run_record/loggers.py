"""Finds where a config lets a run write, and points all outputs at the run's own folder.

Runs lie in ``save_dir/name`` of ``trainer.logger``; without a logger that writes files in ``trainer.default_root_dir``;
without both in ``runs/``.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from algorithms import ConfigError
from cli.given.settings import Settings

ROOT = Path("runs")
_LOCAL = ("TensorBoardLogger", "CSVLogger")
_TENSORBOARD = "lightning.pytorch.loggers.TensorBoardLogger"
_LIGHTNINGS_NAME = "lightning_logs"  # Lightning's default name


def runs_parent(trainer: Namespace, files: Sequence[Settings]) -> Path:
    """Return the folder that holds the runs of a config.

    Args:
        trainer: the parsed section ``trainer``.
        files: the config files of the command line.
    """
    for logger in _local_loggers(trainer):
        name = logger.init_args.get("name")
        save_dir = Path(logger.init_args.save_dir)
        return save_dir / name if name and name != _LIGHTNINGS_NAME else save_dir
    if trainer.get("default_root_dir"):
        return Path(trainer.default_root_dir)
    above = Path(files[0].source).parent.name if files else ""
    return ROOT / above if re.fullmatch(r"\w+", above) and above != "configs" else ROOT


def given_name(trainer: Namespace) -> str | None:
    """Return the name of the run that the user has set, as ``trainer.logger.version``.

    Raises:
        ConfigError: for a name that is a path.
    """
    for logger in _local_loggers(trainer):
        version = logger.init_args.get("version")
        if version is not None:
            if isinstance(version, str) and (Path(version).name != version or version == ".."):
                raise ConfigError(
                    f"trainer.logger.version must be the name of one folder, got {version}: "
                    "trainer.logger.save_dir and trainer.logger.name say in which folder it lies."
                )
            return version if isinstance(version, str) else f"version_{version}"
    return None


def point_at(trainer: Namespace, folder: Path) -> None:
    """Let loggers, checkpoints and other outputs without a folder of their own write into a run's folder.

    Args:
        trainer: the parsed section ``trainer``; changed in place.
        folder: the run's folder.
    """
    # Lightning saves checkpoints for a requeued job here, so this must be the run's own folder in any case.
    trainer["default_root_dir"] = str(folder)
    if trainer.get("logger") in (True, None):
        trainer["logger"] = Namespace(
            class_path=_TENSORBOARD, init_args=Namespace(save_dir=str(folder.parent), name="")
        )
    for logger in _loggers(trainer):
        if "init_args" not in logger:
            logger["init_args"] = Namespace()
        arguments = logger.init_args
        if _is_local(logger):
            name = arguments.get("name") or ""
            if Path(arguments.save_dir) / name != folder.parent:
                arguments["save_dir"], arguments["name"] = str(folder.parent), ""
            arguments["version"] = folder.name
            continue
        # A logger that writes to a service and keeps a copy in a folder.
        if str(arguments.get("save_dir") or ".") in (".", "./mlruns"):
            arguments["save_dir"] = str(folder)
        for key in ("name", "run_name"):
            if key in arguments and arguments[key] is None:
                arguments[key] = folder.name


def keep_csv(folder: Path) -> None:
    """Rename the metrics of an earlier attempt, which Lightning's CSV logger would delete."""
    metrics = folder / "metrics.csv"
    if metrics.exists():
        number = len(list(folder.glob("metrics-*.csv"))) + 1
        metrics.rename(folder / f"metrics-{number}.csv")


def _loggers(trainer: Namespace) -> list[Any]:
    configured = trainer.get("logger")
    several = configured if isinstance(configured, list | tuple) else [configured]
    return [logger for logger in several if isinstance(logger, Namespace) and "class_path" in logger]


def _local_loggers(trainer: Namespace) -> list[Any]:
    return [logger for logger in _loggers(trainer) if _is_local(logger)]


def _is_local(logger: Any) -> bool:
    """Return whether a logger writes files to ``save_dir/name/version`` on this machine."""
    is_known = logger.class_path.rpartition(".")[2] in _LOCAL
    return is_known and "://" not in str(logger.get("init_args", Namespace()).get("save_dir") or "")
