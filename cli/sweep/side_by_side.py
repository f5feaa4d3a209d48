"""Runs several commands, some of them side by side, each as a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[2] / "train.py"
_PAUSE = 0.2  # seconds between two looks at the processes
# Each library has a variable of its own.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, eq=False)
class Job:
    """One command; two equal commands are two jobs."""

    name: str
    arguments: Sequence[str]
    log: Path
    """File for the output of the command."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    job: Job
    status: int
    seconds: float


def cores() -> int:
    """Return the cores that this process may use."""
    # The affinity, if the system has one: a scheduler may give a job fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_side_by_side(
    jobs: Sequence[Job],
    *,
    at_once: int,
    threads: int,
    started: Callable[[Job], None],
    is_wanted: Callable[[Job], bool] = lambda _: True,
) -> Iterator[Ended]:
    """Run every command and yield each when it has ended.

    A signal that ends this process first goes to all commands, and each of them ends by itself.

    Args:
        jobs: the commands, in the order in which they start.
        at_once: number of commands side by side.
        threads: threads of each command.
        started: function that is called with each command that starts.
        is_wanted: function that is called before each command starts; False drops the command.
    """
    waiting, running = list(jobs), dict[Job, tuple[subprocess.Popen[bytes], float]]()
    with _stopping(running):
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                if not is_wanted(job):
                    continue
                running[job] = (_started(job, threads), time.monotonic())
                started(job)
            for job, (process, since) in list(running.items()):
                if (status := process.poll()) is not None:
                    del running[job]
                    yield Ended(job, status, time.monotonic() - since)
            time.sleep(_PAUSE)


def with_threads(number: int) -> dict[str, str]:
    """Return the environment of a process that computes with so many threads."""
    return os.environ | dict.fromkeys(_THREADS, str(number))


def _started(job: Job, threads: int) -> "subprocess.Popen[bytes]":
    job.log.parent.mkdir(parents=True, exist_ok=True)
    # Appended, because a continued run adds to its earlier output.
    with job.log.open("ab") as log:
        # A session of its own, because Ctrl-C in a terminal reaches the whole group: commands would get it twice.
        return subprocess.Popen(
            [sys.executable, str(TRAIN), *job.arguments], stdout=log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env=with_threads(threads), start_new_session=True,
        )  # fmt: skip


@contextmanager
def _stopping(running: "dict[Job, tuple[subprocess.Popen[bytes], float]]") -> Iterator[None]:
    """Stop the running commands when the context ends by an error or a signal, and wait for them."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    # Python accepts handlers in the main thread only.
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    earlier = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    except BaseException:
        # After a second signal the commands must still be stopped.
        for number in earlier:
            signal.signal(number, signal.SIG_IGN)
        for process, _ in running.values():
            process.send_signal(signal.SIGTERM)
        for process, _ in running.values():
            process.wait()
        raise
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
