"""One vLLM model for many connections: a queue of calls, and the one thread that runs them.

connections (one thread each)  ->  queue  ->  the model's thread  ->  vLLM

Every entry of the queue is complete: its connection has read the whole policy, update or request before. So a sender
that stops sending does not delay the others.
"""

import logging
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple
from uuid import uuid4

from torch import Tensor

from rollouts.vllm.guard.refusal import Refusal, TryAgain
from rollouts.vllm.model import VLLMModel
from rollouts.vllm.policy_files import PolicyFiles
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.settings import TRANSFER_STEPS, VLLMSettings
from rollouts.vllm.wire import SERVER_TAKEN

logger = logging.getLogger(__name__)

# Seconds for which a batch stays open, because all ranks send their requests at about the same time.
_GATHER_SECONDS = 0.01


class _Call(NamedTuple):
    """Any work with the model except sampling."""

    work: Callable[[], Any]
    future: "Future[Any]"

    def run(self) -> None:
        _settle([self.future], lambda: [self.work()])


class _Sampling(NamedTuple):
    """The requests of one connection, which may share a batch with those of other connections."""

    session: str
    version: int
    requests: list[SampleRequest]
    future: "Future[list[SampledGroup]]"


class ModelThread:
    """Holds the model, and runs every call to it in the thread that calls ``run``.

    All other methods may be called from any thread. They return when the model's thread has done the work, and raise
    the error that the work raised.
    """

    def __init__(self) -> None:
        """Start without a model."""
        self.session = ""
        """Id that every new policy gets; empty before the first."""

        self.version = -1
        """Optimizer steps behind the weights; -1 while they are not complete."""

        self._model: VLLMModel | None = None
        self._jobs: queue.Queue[_Call | _Sampling] = queue.Queue()

    def take_policy(self, policy: PolicyFiles, settings: VLLMSettings) -> str:
        """Replace the model by one of this policy without weights; return the new session."""

        def build() -> str:
            # The old model is closed first, because there may not be memory for two models.
            if self._model is not None:
                self._model.close()
            self._model, self.version = VLLMModel(policy, settings), -1
            self.session = uuid4().hex
            return self.session

        return self._run_in_thread(build)

    def take_weights(self, session: str, weights: list[tuple[str, Tensor]], version: int) -> None:
        """Load an update and empty the given list meanwhile, so that memory does not hold the tensors twice.

        Raises:
            Refusal: status 409 when another run has taken the server meanwhile.
        """

        def load() -> None:
            self.check_session(session)
            assert self._model is not None  # there is a session, so there was a policy
            # Reset before loading: an error in the middle leaves new tensors beside old ones.
            self.version = -1
            self._model.load(_taken_from(weights))
            self.version = version

        self._run_in_thread(load)

    def take_step(self, session: str, step: str, arguments: dict[str, Any], version: int) -> None:
        """Take a step of vLLM's weight transfer; from the start of an update to its end the weights count as
        incomplete.

        Raises:
            Refusal: status 409 when another run has taken the server meanwhile.
        """

        def take() -> None:
            self.check_session(session)
            assert self._model is not None  # there is a session, so there was a policy
            if step != TRANSFER_STEPS[0]:
                self.version = -1
            self._model.transfer(step, arguments)
            if step == TRANSFER_STEPS[-1]:
                self.version = version

        self._run_in_thread(take)

    def generate(self, session: str, requests: list[SampleRequest], version: int) -> list[SampledGroup]:
        """Sample, in one batch with all requests that wait in the queue.

        Raises:
            Refusal: status 409 when the weights are not complete, of another version or of another run.
        """
        job = _Sampling(session, version, requests, Future())
        self._jobs.put(job)
        return job.future.result()

    def check_session(self, session: str) -> None:
        """Refuse a session that is not the model's session, or no longer is.

        Raises:
            Refusal: status 409; ``TryAgain`` when there is no policy at all.
        """
        if not self.session:
            raise TryAgain(409, "the server was restarted")
        if session != self.session:
            raise Refusal(409, SERVER_TAKEN)

    def run(self) -> None:
        """Run calls for as long as the process lives. One thread, because vLLM's ``LLM`` is not safe to share."""
        while True:
            # A call of its own, so that no local variable holds a job's tensors while the next job is awaited.
            self._run_next()

    def _run_next(self) -> None:
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
        """Sample a job and the jobs behind it, up to the next job of another class; run that one afterwards."""
        batch, call = [first], None
        time.sleep(_GATHER_SECONDS)
        while call is None and not self._jobs.empty():
            job = self._jobs.get()
            if isinstance(job, _Call):
                # The batch ends here: later requests may be meant for the weights that this call loads.
                call = job
            else:
                batch.append(job)
        # A request that is refused must not make the others fail.
        batch = [job for job in batch if self._is_granted(job)]
        if batch:
            _settle([job.future for job in batch], lambda: self._sample([job.requests for job in batch]))
        if call is not None:
            call.run()

    def _is_granted(self, job: _Sampling) -> bool:
        try:
            self.check_session(job.session)
            if self.version < 0:
                raise TryAgain(409, "the server has no weights: an update broke off, or none came yet")
            if self.version != job.version:
                raise TryAgain(409, f"the server has weights of version {self.version}, and not of {job.version}")
        except Refusal as refusal:
            job.future.set_exception(refusal)
            return False
        return True

    def _sample(self, parts: Sequence[list[SampleRequest]]) -> list[list[SampledGroup]]:
        assert self._model is not None
        groups = iter(self._model.generate([request for part in parts for request in part]))
        return [[next(groups) for _ in part] for part in parts]


def _taken_from(weights: list[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    weights.reverse()
    while weights:
        yield weights.pop()


def _settle(futures: "Sequence[Future[Any]]", work: Callable[[], Sequence[Any]]) -> None:
    """Give each future its result of the work, or all of them the error."""
    try:
        for future, result in zip(futures, work(), strict=True):
            future.set_result(result)
    except Refusal as refusal:
        for future in futures:
            future.set_exception(refusal)
    except Exception as error:
        logger.exception("a request failed")
        for future in futures:
            future.set_exception(error)
