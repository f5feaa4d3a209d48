"""Symbolic comparison of two answers in a process of its own that can be killed.

math_verify guards itself with SIGALRM, which works in the main thread only and is swallowed elsewhere, and
SymPy can hang in one C call. So its timeouts are off here, and the parent kills the worker when a comparison
takes too long.

This file is also the worker's program. It is started by path in a fresh interpreter rather than with
``multiprocessing``, whose spawned child imports the training script again, and with it torch and Lightning.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

_START_SECONDS = 120.0
_MEMORY_BYTES = 4 * 1024**3


class ComparisonFailed(Exception):
    """Nobody knows whether two answers are equal: the comparison hung, crashed, or was not understood."""


class MathWorker:
    """Compares answers in a child process, which starts at the first comparison and ends with its owner.

    May be called from any thread; one comparison runs at a time. A copy starts its own process.
    """

    def __init__(self, timeout_seconds: float = 5.0, program: Path = Path(__file__)) -> None:
        """Start nothing yet.

        Args:
            timeout_seconds: longest wall-clock time of one comparison; the start of the worker does not count.
            program: Python file that the child runs; tests give it one that hangs or dies.
        """
        self.timeout_seconds = timeout_seconds
        self.program = program
        self._lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.num_starts = 0
        self._stop: Callable[[], Any] = lambda: None

    def __reduce__(self) -> tuple[Any, ...]:
        return MathWorker, (self.timeout_seconds, self.program)

    @property
    def is_running(self) -> bool:
        """Whether a child process is there."""
        return self.process is not None and self.process.poll() is None

    def compare(self, gold: str, answer: str) -> bool:
        """Return whether the answer equals the gold one, which both should be mathematics.

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
        # -P: the folder of this file must not become importable as top-level modules. A new session: Ctrl-C
        # is for the run to handle. A fixed hash seed: SymPy walks over sets.
        process = subprocess.Popen(
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
            # Closing flushes what a dead worker can no longer read.
            with contextlib.suppress(OSError):
                pipe.close()


def _serve(patience_seconds: float) -> None:
    """Answer requests, one JSON object per line, until standard input closes."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not break the protocol

    def reply(content: dict[str, Any]) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    try:
        _limit_memory()
        _is_same("x", "x")  # imports and builds the parser, so that the first real comparison is not charged for it
        reply({"is_ready": True})
    except Exception as error:
        reply({"error": repr(error)})
        return
    for line in sys.stdin:
        # Unhandled, the alarm ends this process: it must not compute for ever when its parent was killed.
        signal.setitimer(signal.ITIMER_REAL, patience_seconds)
        try:
            reply({"is_same": _is_same(**json.loads(line))})
        except Exception as error:
            reply({"error": repr(error)})
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _limit_memory() -> None:
    import resource

    # A power tower can claim the machine's memory sooner than the timeout kills it. macOS refuses this limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _is_same(gold: str, answer: str) -> bool:
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify
    from sympy.core.random import seed

    # units=False: the library's list of units holds "ab", "c" and "t", so that "5t" would equal "5".
    normalization = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
    )
    extraction = [LatexExtractionConfig(boxed_match_priority=0, normalization_config=normalization)]
    seed(0)  # SymPy decides some equalities at random points
    golds, answers = (
        parse(rf"\boxed{{{text}}}", extraction, parsing_timeout=None)  # pyright: ignore[reportArgumentType]
        for text in (gold, answer)
    )
    if all(isinstance(parsed, str) for parsed in golds):
        raise ValueError(f"math_verify cannot read the gold answer {gold!r}")
    return verify(golds, answers, timeout_seconds=None)


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
