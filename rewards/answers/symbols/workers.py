"""Runs comparisons in a process of its own, so that a hanging comparison cannot stop the run.

math_verify's own timeouts use SIGALRM of the main thread, and SymPy can hang in one C call. So the comparison runs in a
process of its own, ``worker_program.py``, started by path in a fresh interpreter: ``multiprocessing`` would import the
training script again, and with it torch and Lightning, and a fork of a process with torch's threads may hang.
"""

import contextlib
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from rewards.answers.equivalence import Expressions
from rewards.answers.reasons import Reason, Unknown
from rewards.answers.symbols.parser_spelling import spelled_for_parser

# The imports of SymPy and math_verify, on a busy machine.
_START_SECONDS = 120.0
# The process ends a comparison by itself; after this many further seconds it counts as broken.
_GRACE_SECONDS = 5.0
WALL_FACTOR = 3.0
"""Limit of wall time divided by the limit of processor time: a machine that is busier than this changes verdicts."""

PROGRAM = Path(__file__).with_name("worker_program.py")
_REASONS = {
    "unreadable_gold": Reason.UNREADABLE_GOLD,
    "unreadable_answer": Reason.UNREADABLE_ANSWER,
    "timed_out": Reason.TIMED_OUT,
}


class Worker:
    """Compares expressions in a child process, which ends with this object. Only one thread at a time may use it."""

    def __init__(self, memory_megabytes: int, program: Path = PROGRAM) -> None:
        """Keep the settings; the process starts at the first comparison.

        Args:
            memory_megabytes: largest address space of a comparison, in MiB.
            program: Python file that the child runs; tests give it one that hangs or dies.
        """
        self.memory_megabytes, self.program = memory_megabytes, program
        self.process: subprocess.Popen[bytes] | None = None
        self.num_starts = 0
        self._stop: Callable[[], object] = lambda: None

    @property
    def is_running(self) -> bool:
        """Whether the child process is alive."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process without waiting until it is ready."""
        if self.is_running:
            return
        self._stop()
        # -P: the files in the program's folder must not be importable as top-level modules. A new session: Ctrl-C
        # must reach the run only. A fixed hash seed: SymPy iterates over sets.
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(self.program), str(self.memory_megabytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        self._is_ready = False
        self.num_starts += 1
        self._stop = weakref.finalize(self, _kill, self.process, os.getpid())  # also when the interpreter exits

    def wait_until_ready(self) -> None:
        """Wait until the process can compare.

        Raises:
            Unknown: when it cannot start.
        """
        self.start()
        if not self._is_ready:
            reply = self._receive(_START_SECONDS)
            if "error" in reply:
                self._give_up(f"the worker cannot start: {reply.get('detail')}")
            self._is_ready = True

    def compare(self, expressions: Expressions, seconds: float) -> bool:
        """Return whether two expressions are equal.

        Args:
            expressions: what to compare.
            seconds: longest processor time; on the wall it may take ``WALL_FACTOR`` times as long.

        Raises:
            Unknown: when it took too long, needed too much memory, or one of the two cannot be read.
        """
        self.wait_until_ready()
        request = {
            "kind": expressions.kind,
            "gold": [spelled_for_parser(text) for text in expressions.gold],
            "answer": [spelled_for_parser(text) for text in expressions.answer],
            "tolerance": expressions.tolerance,
            # A limit of 0 would switch the alarms off.
            "seconds": max(seconds, 0.001),
            "wall_seconds": max(seconds, 0.001) * WALL_FACTOR,
        }
        self._send(request)
        reply = self._receive(seconds * WALL_FACTOR + _GRACE_SECONDS)
        if "error" in reply:
            raise Unknown(_REASONS.get(reply["error"], Reason.COMPARISON_FAILED), str(reply.get("detail")))
        return reply["is_same"]

    def close(self) -> None:
        """End the process; the next comparison starts a new one."""
        self._stop()
        self.process = None

    def _send(self, request: dict[str, Any]) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            self._give_up("the worker died")

    def _receive(self, timeout_seconds: float) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        # readline alone has no timeout; a reply is written at once, so a readable pipe has a whole one.
        if not wait([self.process.stdout.fileno()], timeout_seconds):
            self._give_up(f"no reply within {timeout_seconds:g} s")
        line = self.process.stdout.readline()
        if not line:
            self._give_up("the worker died")
        return json.loads(line)

    def _give_up(self, detail: str) -> NoReturn:
        self.close()
        raise Unknown(Reason.COMPARISON_FAILED, detail)


def _kill(process: "subprocess.Popen[bytes]", owner: int) -> None:
    # A fork of the owner's process has a copy of this object, but the child is not its own.
    if os.getpid() == owner:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # Closing flushes the pipe, which raises when the worker is dead.
            with contextlib.suppress(OSError):
                pipe.close()
