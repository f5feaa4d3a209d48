"""Rollouts by a vLLM server over HTTP: one that this run starts on its machine, or one that runs elsewhere.

All ranks sample from one server. Rank 0 starts it and streams the weights to it; the others take part in gathering
what is sharded. When it fails on any rank, all of them bring it back together: restart or wait, weights, once more.
"""

import http.client
import json
import logging
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import torch.distributed as dist

from algorithms import Completion, ConfigError, Prompt
from rollouts.engine import CountedWeights, EngineError, RolloutEngine, SamplingConfig
from rollouts.ranks import gather_ranks
from rollouts.vllm.server_process import ServerProcess
from rollouts.vllm.settings import (
    SampledGroup,
    SampleRequest,
    VLLMSettings,
    completions_of,
    policy_files,
    requests_of,
)
from rollouts.vllm.wire import pack_policy, pack_requests, unpack_groups, weight_chunks

logger = logging.getLogger(__name__)


class VLLMServerEngine(RolloutEngine):
    """Samples on a vLLM server."""

    def __init__(
        self,
        settings: VLLMSettings = VLLMSettings(),  # noqa: B008  (frozen)
        url: str | None = None,
        environment: dict[str, str] | None = None,
        timeout_s: float = 3600.0,
        max_restarts: int = 3,
    ) -> None:
        """Remember the settings; the server is asked with the first rollout.

        Args:
            settings: how vLLM runs the policy; sent to the server.
            url: of a running ``python -m rollouts.vllm.server``; null starts one on this machine and ends it again.
            environment: variables for a server started here, such as ``CUDA_VISIBLE_DEVICES``.
            timeout_s: longest wait for an answer, in seconds, and for a server elsewhere to come back.
            max_restarts: failures in a run after which it gives up.
        """
        if url is not None and (urlsplit(url).scheme != "http" or not urlsplit(url).hostname):
            raise ConfigError(f"model.engine.url must look like http://HOST:PORT, got {url!r}.")
        if url is not None and environment:
            raise ConfigError(
                "model.engine.environment is for a server started here: leave it out, or model.engine.url."
            )
        self.settings, self.url, self.environment = settings, url, environment
        self.timeout_s, self.max_restarts = timeout_s, max_restarts
        self.process: ServerProcess | None = None
        self._address, self._session = "", ""
        self._policy: Any = None
        self._holds: tuple[int, int] | None = None

    def sync(self, policy: Any, *, version: int) -> None:
        """Send the weights that changed since the last time; all of them the first time, none for the same version."""
        if self._holds == (id(policy), version):
            return
        while failure := self._try_sync(policy, version):
            self._count_failure(failure)

    def generate(
        self, prompts: Sequence[Prompt], *, group_size: int, sampling: SamplingConfig, seed: int
    ) -> list[list[Completion]]:
        """Return ``group_size`` completions for each prompt, in order; the server is brought back if it fails.

        Raises:
            EngineError: when it failed more than ``max_restarts`` times.
        """
        if self._holds is None:
            raise EngineError("the vLLM server has no weights yet: sync() comes before generate().")
        requests = requests_of(self._policy, prompts, group_size=group_size, sampling=sampling, seed=seed)
        version = self._holds[1]
        while True:
            groups, failure = self._try_generate(requests)
            if not failure:
                break
            self._count_failure(failure)
            self.sync(self._policy, version=version)
        return completions_of(self._policy, prompts, groups, group_size=group_size)

    def shut_down(self) -> None:
        """End the server, if this run started it."""
        if self.process is not None:
            self.process.stop()
        self.process, self._session, self._holds = None, "", None

    # --- attempts: each returns what failed on any rank, the same on all of them; "" is success ----------------

    def _try_sync(self, policy: Any, version: int) -> str:
        if policy is not self._policy:
            self._session = ""
        filled = self._session if self._holds is not None else None
        self._policy, self._holds = policy, None
        if failure := self._try_connect(policy):
            return failure
        # A server that has been started or told of this policy anew has no weights at all.
        is_complete = filled == self._session
        started = time.perf_counter()
        counted = CountedWeights(policy.stream_weights(only_trainable=is_complete))
        failure = _send(self._address, self._session, counted, version, self.timeout_s) if _is_first_rank() else ""
        # Whatever the server did with them: gathering sharded weights needs every rank to the end.
        for _ in counted:
            pass
        failures = gather_ranks(failure)
        if not any(failures):
            self._holds = (id(policy), version)
            self.last_sync = counted.report(time.perf_counter() - started)
        return next(filter(None, failures), "")

    def _try_connect(self, policy: Any) -> str:
        """Have a server that holds this policy, with or without weights."""
        failure = ""
        if _is_first_rank():
            try:
                self._connect(policy)
            except (OSError, http.client.HTTPException, EngineError) as error:
                failure = f"{type(error).__name__}: {error}"
        self._address, self._session, failure = gather_ranks((self._address, self._session, failure))[0]
        return failure

    def _connect(self, policy: Any) -> None:
        if self.url is not None:
            self._address = urlsplit(self.url).netloc
            _wait_until_up(self._address, self.timeout_s)
        elif self.process is not None and not self.process.is_running and self._session:
            raise EngineError("its process has ended")
        elif self.process is None or not self.process.is_running:
            self.process = ServerProcess(self.environment)
            self._address, self._session = urlsplit(self.process.url).netloc, ""
        if not self._session:
            body = pack_policy(policy_files(policy), self.settings)
            self._session = json.loads(_post(self._address, "/policy", body, {}, self.timeout_s))["session"]

    def _try_generate(self, requests: Sequence[SampleRequest]) -> tuple[list[SampledGroup], str]:
        groups: list[SampledGroup] = []
        failure = ""
        if requests:
            try:
                headers = {"Session": self._session}
                answer = _post(self._address, "/generate", pack_requests(requests), headers, self.timeout_s)
                groups = unpack_groups(answer)
            except (OSError, http.client.HTTPException, EngineError) as error:
                failure = f"{type(error).__name__}: {error}"
        return groups, next(filter(None, gather_ranks(failure)), "")

    def _count_failure(self, failure: str) -> None:
        """Get ready for another attempt.

        Raises:
            EngineError: when there were too many, or another attempt would fail too.
        """
        self.num_restarts += 1
        if self.num_restarts > self.max_restarts or any(mark in failure for mark in _HOPELESS):
            self.shut_down()
            raise EngineError(f"the vLLM server failed {self.num_restarts} time(s); the last time: {failure}")
        logger.warning("the vLLM server failed and is brought back: %s", failure)
        if self.process is not None:
            self.process.stop()
        self._session, self._holds = "", None


_HOPELESS = ("ConfigError", "ValidationError", "another run has taken this server")


def _is_first_rank() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0


def _send(address: str, session: str, weights: CountedWeights, version: int, timeout_s: float) -> str:
    """Stream weights; return what failed."""
    headers = {"Session": session, "Version": str(version), "Transfer-Encoding": "chunked"}
    try:
        _post(address, "/weights", weight_chunks(weights), headers, timeout_s)
    except (OSError, http.client.HTTPException, EngineError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _wait_until_up(address: str, timeout_s: float) -> None:
    started = time.monotonic()
    while True:
        try:
            with closing(http.client.HTTPConnection(address, timeout=10.0)) as connection:
                connection.request("GET", "/health")
                connection.getresponse().read()
            return
        except OSError as error:
            if time.monotonic() - started > timeout_s:
                raise EngineError(f"no vLLM server answers at {address} within {timeout_s:g} s: {error}") from error
            time.sleep(1.0)


def _post(address: str, path: str, body: Any, headers: dict[str, str], timeout_s: float) -> bytes:
    """Post, and return the answer.

    Raises:
        EngineError: with what the server says went wrong.
    """
    with closing(http.client.HTTPConnection(address, timeout=timeout_s)) as connection:
        connection.request("POST", path, body, headers, encode_chunked="Transfer-Encoding" in headers)
        response = connection.getresponse()
        answer = response.read()
    if response.status != 200:
        raise EngineError(json.loads(answer)["error"])
    return answer
