"""The record of a run, ``run.json`` in its folder: command, software and machine, how it ended, results."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from algorithms import DataError
from storage import is_locked, whole_file

FILE_NAME = "run.json"
RUNNING, FINISHED, STOPPED, FAILED, KILLED = "running", "finished", "stopped", "failed", "killed"


@dataclass(frozen=True)
class Attempt:
    """One start of a run; a resumed run has several attempts."""

    started: str
    """Time in UTC, ISO 8601."""

    arguments: tuple[str, ...]
    """The command line behind ``train.py``."""

    from_step: int = 0
    """Optimizer steps that were done when the attempt started; known when it has ended."""

    ended: str | None = None
    """Time in UTC; None while the attempt runs, and when it was killed."""

    seconds: float = 0.0
    """Wall time."""

    status: str = RUNNING
    """running, finished, stopped (by a signal), failed (with an error), or killed (without a message)."""

    reason: str | None = None
    """The signal, or the error's type and first line."""


@dataclass(frozen=True)
class RunRecord:
    """A run. Its fields are the keys of the file, apart from ``folder``."""

    folder: Path
    command: str
    """fit, validate, test or predict."""

    title: str
    """Config, overlays and flags that matter; runs with several seeds share this title."""

    seed: int | None
    flags: Mapping[str, str]
    """The flags that matter, key -> value. Title, flags and seed identify a run."""

    attempts: tuple[Attempt, ...]
    step: int = 0
    """Optimizer steps that are done."""

    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """The last value of each logged metric; None where it is not finite."""

    git: Mapping[str, Any] | None = None
    """``commit`` and ``is_dirty`` of the project's sources; None where they are in no repository."""

    starts_from: Mapping[str, str | None] | None = None
    """Of training: ``path`` of the policy that it starts from, digest of its ``weights``, and ``first_weights``, those
    of the policy that the first of a chain of trainings started from; None where the config names no folder of one,
    and in records of before it was kept."""

    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """How the last attempt ended."""
        return self.attempts[-1].status

    @property
    def reason(self) -> str | None:
        """Signal or error of the last attempt."""
        return self.attempts[-1].reason

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line of the last attempt."""
        return self.attempts[-1].arguments

    @property
    def seconds(self) -> float:
        """Wall time of all attempts in seconds; the time of a killed attempt is unknown and counts as 0."""
        return sum(attempt.seconds for attempt in self.attempts)

    @property
    def told(self) -> str:
        """The status in words, such as ``stopped by SIGTERM at step 120``."""
        words = {STOPPED: f"stopped by {self.reason}", FAILED: f"failed with {self.reason}"}
        return (
            f"{words.get(self.status, self.status)} at step {self.step}"
            if self.step
            else words.get(self.status, self.status)
        )

    def write(self) -> None:
        """Write the file as a whole or not at all."""
        content = {"status": self.status, "reason": self.reason, "seconds": round(self.seconds, 1)}
        content |= {key: value for key, value in asdict(self).items() if key != "folder"}
        with whole_file(self.folder / FILE_NAME) as draft:
            draft.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a run; None where the folder has none.

    An attempt whose status is running, in a folder that no process has locked, was killed.

    Raises:
        DataError: when the file is no record of a run.
    """
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        attempts = tuple(
            Attempt(**{**attempt, "arguments": tuple(attempt["arguments"])}) for attempt in content["attempts"]
        )
        # A record of a later version may have further keys; a record of an earlier version lacks some.
        known = {key: content[key] for key in RunRecord.__dataclass_fields__ if key in content}
        record = RunRecord(**{**known, "folder": folder, "attempts": attempts})
        ended = record.status
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path} is not the record of a run: {type(error).__name__}: {error}.") from None
    if ended == RUNNING and not is_locked(folder):
        return replace(record, attempts=(*attempts[:-1], replace(attempts[-1], status=KILLED)))
    return record


def plain_metrics(logged: Mapping[str, Any]) -> dict[str, float | None]:
    """Return logged values as numbers that JSON has; None where one is not finite."""
    values = {name: float(value) for name, value in sorted(logged.items())}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
