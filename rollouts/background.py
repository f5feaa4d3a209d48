"""Runs a call in a thread of its own, so that the caller can go on while the call waits for another process."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """One call that has begun. It must not use objects that the caller changes meanwhile, nor collective calls."""

    def __init__(self, call: Callable[[], T], *, name: str) -> None:
        """Begin.

        Args:
            call: function to run.
            name: name of the thread, for debuggers.
        """
        self._call = call
        self._future: Future[T] = Future()
        self._started, self._ended = time.perf_counter(), 0.0
        # A daemon thread: a run that is stopped ends at once, without waiting for an answer that nobody reads.
        threading.Thread(target=self._run, name=name, daemon=True).start()

    @property
    def seconds(self) -> float:
        """Seconds that the call took; known when it has ended."""
        self.wait()
        return self._ended - self._started

    def wait(self) -> None:
        """Block until the call has ended, well or not."""
        wait([self._future])

    def result(self) -> T:
        """Wait, and return what the call returned.

        Raises:
            BaseException: what the call raised, with the traceback of its thread.
        """
        return self._future.result()

    def _run(self) -> None:
        try:
            result = self._call()
        # Every error is kept, because an error that stayed in the thread would leave the caller waiting.
        except BaseException as error:
            self._ended = time.perf_counter()
            self._future.set_exception(error)
        else:
            self._ended = time.perf_counter()
            self._future.set_result(result)
