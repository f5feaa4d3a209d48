"""Symbolic comparison of two answers in a process of its own that can be killed.

math_verify's own timeouts use SIGALRM, which works in the main thread only (elsewhere math_verify swallows the error),
and SymPy can hang in one C call. So these timeouts are off, and the parent kills the worker when a comparison takes too
long.

The worker runs ``worker_program.py``, started by path in a fresh interpreter. ``multiprocessing`` would import the
training script in the child again, and with it torch and Lightning.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

# The imports of SymPy and math_verify, on a busy machine.
_START_SECONDS = 120.0
_PROGRAM = Path(__file__).with_name("worker_program.py")


class ComparisonFailed(Exception):
    """The comparison of two answers has no result: it hung, crashed, or could not read the gold answer."""


class MathWorker:
    """Compares answers in a child process, which starts at the first comparison and ends with its owner.

    May be called from any thread; one comparison runs at a time. A copy starts its own process.
    """

    def __init__(self, timeout_seconds: float = 5.0, program: Path = _PROGRAM) -> None:
        """Keep the settings; the process starts at the first comparison.

        Args:
            timeout_seconds: longest wall-clock time of one comparison; the start of the worker does not count.
            program: Python file that the child runs; tests give it one that hangs or dies.
        """
        self.timeout_seconds = timeout_seconds
        self.program = program
        self._lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.num_starts = 0
        self._stop: Callable[[], object] = lambda: None

    # A process, a lock and a finalizer cannot be copied or pickled: a copy starts with the settings only.
    def __reduce__(self) -> tuple[Any, ...]:
        return MathWorker, (self.timeout_seconds, self.program)

    @property
    def is_running(self) -> bool:
        """Whether the child process is alive."""
        return self.process is not None and self.process.poll() is None

    def compare(self, gold: str, answer: str) -> bool:
        """Return whether the answer equals the gold one; both should be mathematics.

        Raises:
            ComparisonFailed: when it took too long, killed the worker, or could not be decided.
        """
        with self._lock:
            process = self._running_process()
            self._send(process, {"gold": gold, "answer": answer})
            reply = self._receive(process, self.timeout_seconds)
        if "error" in reply:
            raise ComparisonFailed(reply["error"])
        return reply["is_same"]

    def close(self) -> None:
        """End the worker; the next comparison starts a new one."""
        with self._lock:
            self._stop()
            self.process = None

    def _running_process(self) -> "subprocess.Popen[str]":
        if self.process is not None and self.process.poll() is None:
            return self.process
        # -P: the files in the program's folder must not be importable as top-level modules. A new session: Ctrl-C
        # must reach the run only. A fixed hash seed: SymPy iterates over sets.
        process = subprocess.Popen(
            # Twice the timeout: normally the parent is first, and this limit is for a parent that was killed.
            [sys.executable, "-P", str(self.program), str(2.0 * self.timeout_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        self.process = process
        self.num_starts += 1
        self._stop = weakref.finalize(self, _kill, process)  # also runs when the interpreter exits
        reply = self._receive(process, _START_SECONDS)
        if "error" in reply:
            self._give_up(f"the worker cannot start: {reply['error']}")
        return process

    def _send(self, process: "subprocess.Popen[str]", request: dict[str, str]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError:
            self._give_up("the worker died")

    def _receive(self, process: "subprocess.Popen[str]", timeout_seconds: float) -> dict[str, Any]:
        assert process.stdout is not None
        # readline alone has no timeout; replies are flushed line by line, so a readable pipe has a whole one.
        if not wait([process.stdout.fileno()], timeout_seconds):
            self._give_up(f"no reply within {timeout_seconds:g} s")
        line = process.stdout.readline()
        if not line:
            self._give_up("the worker died")
        return json.loads(line)

    def _give_up(self, reason: str) -> NoReturn:
        self._stop()
        self.process = None
        raise ComparisonFailed(reason)


def _kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            # Closing flushes the pipe, which raises when the worker is dead.
            with contextlib.suppress(OSError):
                pipe.close()
