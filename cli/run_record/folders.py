"""Chooses the folder of a run. Two runs never get the same folder; only the run itself may use its folder again.

    fit                               grpo-s0; grpo-s0-2 where that is taken, and so on
    fit --ckpt_path=last              the newest run of this name that has a checkpoint; without one a new folder
    fit --ckpt_path=PATH              the run that the checkpoint lies in, if it has this name; else a new folder
    validate, test, predict           grpo-s0-validate beside the run whose checkpoint is read, numbered likewise

A process claims a folder by creating it: when two processes try at the same moment, the file system lets only one
succeed. Only the first rank of a run claims a folder; the other ranks look for the same run to resume, and otherwise
need no folder.
"""

import glob
import itertools
import os
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from algorithms import ConfigError, DataError
from cli.given.places import writes_to
from cli.run_record.names import RunName
from run_records import RunRecord, read_record

RUNS_KEY = "the folder of runs (trainer.logger.save_dir, or trainer.default_root_dir without a logger)"
# Set by torchrun, SLURM, MPI, LSF and Lightning, which may have started this process as one of several.
_RANKS = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "JSM_NAMESPACE_RANK",
)  # fmt: skip


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, and the run that it continues."""

    path: Path
    name: RunName
    is_new: bool
    source: Path | None = None
    """Folder of the run whose checkpoint ``--ckpt_path`` names; None without ``--ckpt_path``."""


def is_first_process() -> bool:
    """Return whether this is the writing process of a run, from the environment, before Lightning knows the rank."""
    return all(os.environ.get(name, "0") in ("", "0") for name in _RANKS)


def run_folder(
    parent: Path, name: RunName, *, command: str, ckpt_path: str | None, saved: Collection[Path], claims: bool = True
) -> RunFolder:
    """Return the folder for a run; a new one exists afterwards.

    Args:
        parent: folder of runs.
        name: name of the run.
        command: fit, validate, test or predict.
        ckpt_path: value as the user typed it.
        saved: folders that the user has set for checkpoints, which may lie outside of the runs' folders.
        claims: False for ranks after the first, which create no folder.

    Raises:
        ConfigError: for ``--ckpt_path=last`` in a command that only reads weights, when there is no checkpoint.
    """
    found = _source(parent, name, ckpt_path, saved)
    if command == "fit":
        if found is not None and _belongs(found, name):
            return RunFolder(found.folder, name, is_new=False, source=found.folder)
        path = _claimed(parent, str(name)) if claims else _unknown(parent)
        return RunFolder(path, name, is_new=claims, source=found and found.folder)
    if ckpt_path == "last" and found is None and not _has_checkpoint(None, saved):
        names = ", ".join(sorted(path.name for path in parent.glob("*") if read_quietly(path))) or "none"
        raise ConfigError(
            f"ckpt_path last: no run named {name} in {parent} has a checkpoint (runs there: {names}); give the path of "
            "a checkpoint, or leave --ckpt_path out for the policy that the config names."
        )
    if found is not None:
        # Named after the run whose weights are read; flags of this command do not change the name.
        parent, base = found.folder.parent, found.folder.name
        name = replace(name, title=found.title, seed=found.seed)
    else:
        base = str(name)
    path = _claimed(parent, f"{base}-{command}") if claims else _unknown(parent)
    return RunFolder(path, name, is_new=claims, source=found and found.folder)


def runs_named(parent: Path, name: RunName) -> list[RunRecord]:
    """Return the training runs with this name and the same flags that matter, newest first."""
    base = str(name)
    numbers: dict[Path, int] = {}
    for path in parent.glob(f"{glob.escape(base)}*"):
        if match := re.fullmatch(rf"{re.escape(base)}(?:-(\d+))?", path.name):
            numbers[path] = int(match[1] or 1)
    records = [read_quietly(path) for path in sorted(numbers, key=lambda path: -numbers[path])]
    return [record for record in records if record is not None and _belongs(record, name)]


def read_quietly(folder: Path) -> RunRecord | None:
    """Return the record in a folder; None when there is none or it cannot be read."""
    try:
        return read_record(folder)
    except DataError:
        return None


def _source(parent: Path, name: RunName, ckpt_path: str | None, saved: Collection[Path]) -> RunRecord | None:
    """Return the run whose checkpoint is named, or the run that a scheduler restarts."""
    of_name = runs_named(parent, name)
    if ckpt_path is None:
        return next((record for record in of_name if _is_requeued(record)), None)
    if ckpt_path == "last":
        return next((record for record in of_name if _has_checkpoint(record.folder, saved)), None)
    # A checkpoint lies in the run's folder or in its folder checkpoints/; it may be a folder of slices.
    above = list(Path(ckpt_path).absolute().parents)[:3]
    owners = (read_quietly(folder) for folder in above)
    owner = next((record for record in owners if record is not None), None)
    if owner is None:
        return None
    return next((r for r in of_name if r.folder.absolute() == owner.folder.absolute()), owner)


def _belongs(record: RunRecord, name: RunName) -> bool:
    return record.command == "fit" and (record.title, record.seed, dict(record.flags)) == (
        name.title,
        name.seed,
        dict(name.flags),
    )


def _has_checkpoint(folder: Path | None, saved: Collection[Path]) -> bool:
    places = [*saved, *([] if folder is None else [folder / "checkpoints"])]
    return any(any(place.glob("*.ckpt")) for place in places)


def _is_requeued(record: RunRecord) -> bool:
    """Return whether SLURM restarts a job that it interrupted, for which Lightning has saved a checkpoint."""
    job = os.environ.get("SLURM_JOB_ID")
    again = int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
    return again and record.machine.get("slurm_job") == job and any(record.folder.glob("hpc_ckpt_*.ckpt"))


def _unknown(parent: Path) -> Path:
    """Return a folder that does not exist, for a rank that gets its folder later: an earlier run's has checkpoints."""
    return parent / ".folder-of-the-first-rank"


def _claimed(parent: Path, name: str) -> Path:
    """Create a new folder; when the name is taken, add a number from 2 on."""
    with writes_to(RUNS_KEY, parent):
        parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = parent / (name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise AssertionError
