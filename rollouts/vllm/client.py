"""The HTTP calls of a training process to a vLLM server."""

import http.client
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from typing import Any, TypeVar

from torch import Tensor

from algorithms import ConfigError
from rollouts.engine import EngineError
from rollouts.vllm.policy_files import PolicyFiles
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.settings import VLLMSettings
from rollouts.vllm.wire import pack_policy, pack_requests, unpack_error, unpack_groups, weight_chunks

T = TypeVar("T")
_Body = bytes | Iterable[bytes] | None
logger = logging.getLogger(__name__)

_HEALTH_TIMEOUT = 10.0  # seconds
_RETRY_SECONDS = 1.0


class _NotNow(EngineError):
    """The server refuses the request now, but may accept it later."""


class ServerClient:
    """One server. Every method raises ``OSError``, ``HTTPException`` or ``EngineError`` when the call fails."""

    def __init__(self, address: str, timeout_s: float, token: str) -> None:
        """Set the server's place; nothing is sent yet.

        Args:
            address: ``HOST:PORT``.
            timeout_s: longest wait for an answer, in seconds.
            token: the server's token.
        """
        self.address, self._timeout_s, self._token = address, timeout_s, token

    def wait_until_up(self) -> None:
        """Block until the server answers.

        Raises:
            EngineError: when it does not within ``timeout_s``, or refuses the token.
        """
        started = time.monotonic()
        while True:
            try:
                # The server answers this request also while it has no model.
                self._call("GET", "/health", None, {}, _HEALTH_TIMEOUT)
                return
            except (OSError, _NotNow) as error:
                if time.monotonic() - started > self._timeout_s:
                    raise EngineError(
                        f"no vLLM server answers at {self.address} within {self._timeout_s:g} s: {error}"
                    ) from error
                time.sleep(_RETRY_SECONDS)

    def send_policy(self, policy: PolicyFiles, settings: VLLMSettings) -> str:
        """Have the server build this policy without weights; return the session of all later calls."""
        return json.loads(self._post("/policy", pack_policy(policy, settings), {}))["session"]

    def send_weights(
        self, session: str, weights: Iterable[tuple[str, Tensor]], version: int, tied: Mapping[str, str]
    ) -> None:
        """Stream weights to the server, which refuses to sample until it has read all of them.

        Args:
            session: the run's session.
            weights: each tensor under one name.
            version: optimizer steps behind them.
            tied: for each further name of a tied tensor the name under which it is sent.
        """
        # Sent in chunks, because the total size is not known before the last tensor is gathered.
        headers = {"Session": session, "Version": str(version), "Transfer-Encoding": "chunked"}
        headers["Tied"] = json.dumps(dict(tied))
        self._post("/weights", weight_chunks(weights), headers)

    def take_step(self, step: str, arguments: dict[str, Any] | None, session: str, version: int) -> None:
        """Take a step of vLLM's weight transfer on the server; return when it is done.

        Args:
            step: vLLM's name of it.
            arguments: as vLLM's own client sends them.
            session: the run's session.
            version: optimizer steps behind the weights.
        """
        headers = {"Session": session, "Version": str(version)}
        self._post(f"/{step}", json.dumps(arguments or {}).encode(), headers)

    def sample(self, session: str, requests: Sequence[SampleRequest], version: int) -> list[SampledGroup]:
        """Return the completions of every request, in order, by weights of this version and no other."""
        headers = {"Session": session, "Version": str(version)}
        return unpack_groups(self._post("/generate", pack_requests(requests), headers))

    def _post(self, path: str, body: bytes | Iterable[bytes], headers: dict[str, str]) -> bytes:
        return self._call("POST", path, body, headers, self._timeout_s)

    def _call(self, method: str, path: str, body: _Body, headers: dict[str, str], timeout_s: float) -> bytes:
        """Return the body of the answer.

        Raises:
            EngineError: with the server's own error, for any status but 200.
        """
        status, answer = self._request(method, path, body, headers, timeout_s)
        if status == HTTPStatus.OK:
            return answer
        kind = _NotNow if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE) else EngineError
        raise kind(unpack_error(answer))

    def _request(
        self,
        method: str,
        path: str,
        body: _Body,
        headers: dict[str, str],
        timeout_s: float,
    ) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        # Each call has its own connection, so none stays open between rollouts, which may be hours apart.
        with closing(http.client.HTTPConnection(self.address, timeout=timeout_s)) as connection:
            signed = headers | {"Authorization": f"Bearer {self._token}"}
            try:
                connection.request(method, path, body, signed, encode_chunked="Transfer-Encoding" in headers)
            except (BrokenPipeError, ConnectionResetError):
                # A server that refuses a request stops reading, but its answer can still be read.
                logger.debug("the server stopped reading %s", path)
            response = connection.getresponse()
            return response.status, response.read()


def attempt(call: Callable[[], T]) -> tuple[T | None, str]:
    """Run a call of a client; return its result and "", or None and the failure as a text.

    Failures are values here, because ranks must agree on them before any of them acts.
    """
    try:
        return call(), ""
    except (OSError, http.client.HTTPException, EngineError, ConfigError) as error:
        return None, f"{type(error).__name__}: {error}"
