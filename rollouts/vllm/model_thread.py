"""One vLLM model for many connections: a queue of calls, and the one thread that runs them.

connections (one thread each)  ->  queue  ->  the model's thread  ->  vLLM
"""

import logging
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from io import BufferedIOBase
from typing import Any, NamedTuple
from uuid import uuid4

from rollouts.vllm.model import VLLMModel
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.wire import read_weights, unpack_policy

logger = logging.getLogger(__name__)

# How long a batch stays open. All ranks send their requests at about the same time.
_GATHER_SECONDS = 0.01


class _Call(NamedTuple):
    """Any work with the model but sampling."""

    work: Callable[[], Any]
    future: "Future[Any]"

    def run(self) -> None:
        _settle([self.future], lambda: [self.work()])


class _Sampling(NamedTuple):
    """The requests of one connection, which may share a batch with those of other connections."""

    requests: list[SampleRequest]
    future: "Future[list[SampledGroup]]"


class ModelThread:
    """Holds the model, and runs every call to it in the thread that calls ``run``.

    All other methods may be called from any thread: they return when the model's thread has done the work, and raise
    what it raised.
    """

    def __init__(self) -> None:
        """Start without a model."""
        self.session = ""
        """Id that every new policy gets; empty before the first."""

        self.version = -1
        """Optimizer steps behind the weights; -1 while they are not complete."""

        self._model: VLLMModel | None = None
        self._jobs: queue.Queue[_Call | _Sampling] = queue.Queue()

    def take_policy(self, body: bytes) -> str:
        """Replace the model by one of this policy without weights; return the new session."""
        policy, settings = unpack_policy(body)

        def build() -> str:
            # Closed first: there may not be memory for two models.
            if self._model is not None:
                self._model.close()
            self._model, self.version = VLLMModel(policy, settings), -1
            self.session = uuid4().hex
            return self.session

        return self._run_in_thread(build)

    def take_weights(self, stream: BufferedIOBase, version: int) -> None:
        """Load weights while they come in; until all of them are there, sampling is refused."""

        def load() -> None:
            assert self._model is not None  # the request had a session, so there was a policy
            # Before loading: weights that break off leave new tensors beside old ones.
            self.version = -1
            self._model.load(read_weights(stream))
            self.version = version

        self._run_in_thread(load)

    def generate(self, requests: list[SampleRequest]) -> list[SampledGroup]:
        """Sample, in one batch with all requests that wait in the queue.

        Raises:
            RuntimeError: when there are no complete weights.
        """
        job = _Sampling(requests, Future())
        self._jobs.put(job)
        return job.future.result()

    def run(self) -> None:
        """Run calls for as long as the process lives. One thread, because vLLM's ``LLM`` is not safe to share."""
        while True:
            job = self._jobs.get()
            if isinstance(job, _Call):
                job.run()
            else:
                self._run_batch(job)

    def _run_in_thread(self, work: Callable[[], Any]) -> Any:
        job = _Call(work, Future())
        self._jobs.put(job)
        return job.future.result()

    def _run_batch(self, first: _Sampling) -> None:
        """Sample a job with those behind it, up to the next job of another class, which is run afterwards."""
        batch, call = [first], None
        time.sleep(_GATHER_SECONDS)
        while call is None and not self._jobs.empty():
            job = self._jobs.get()
            if isinstance(job, _Call):
                # No further: later requests may be meant for the weights that this call loads.
                call = job
            else:
                batch.append(job)
        _settle([job.future for job in batch], lambda: self._sample([job.requests for job in batch]))
        if call is not None:
            call.run()

    def _sample(self, parts: Sequence[list[SampleRequest]]) -> list[list[SampledGroup]]:
        if self._model is None or self.version < 0:
            raise RuntimeError("the server has no weights: an update broke off, or none came yet")
        groups = iter(self._model.generate([request for part in parts for request in part]))
        return [[next(groups) for _ in part] for part in parts]


def _settle(futures: "Sequence[Future[Any]]", work: Callable[[], Sequence[Any]]) -> None:
    """Give each future its result of the work, or all of them the error."""
    try:
        for future, result in zip(futures, work(), strict=True):
            future.set_result(result)
    except Exception as error:
        logger.exception("a request failed")
        for future in futures:
            future.set_exception(error)
