"""Two processes on the CPU, started once for all tests that compare what came of them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cli.app import run
from models import stream_weights
from tests.conftest import sharp_policy
from tests.distributed.scenarios import SCENARIOS
from tests.test_training import Recorder

# Seconds for all scenarios; a collective that waits for ever must fail, not hang.
_LIMIT = 420


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny policy in it."""
    root = tmp_path_factory.mktemp("two_processes")
    tiny = sharp_policy()
    tiny.model.save_pretrained(root / "policy")
    tiny.processor.save_pretrained(root / "policy")
    return root


Ended = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def ended(root: Path) -> Ended:
    """What a scenario ended with on a rank."""
    return outcomes_of(root, list(SCENARIOS))


def outcomes_of(root: Path, names: list[str]) -> Ended:
    """Run scenarios on two processes and return what reads their outcomes."""
    run_pair(root, names)

    def of(name: str, rank: int = 0) -> dict[str, Any]:
        return torch.load(root / f"{name}.{rank}.pt", weights_only=False)

    return of


@pytest.fixture(scope="session")
def alone(root: Path) -> Callable[[list[str]], dict[str, Any]]:
    """What a command ends with in this process."""

    def of(arguments: list[str]) -> dict[str, Any]:
        cli = run(arguments)
        seen = next(callback.seen for callback in cli.trainer.callbacks if isinstance(callback, Recorder))
        return {"weights": {n: t.clone() for n, t in stream_weights(cli.model.policy.model)}, "seen": seen}

    return of


def run_pair(root: Path, names: list[str], worker: str = "tests.distributed.worker") -> None:
    """Run a module in two processes, which find each other, and raise unless both end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", worker, str(root), *names]
    logs = [root / f"log.{rank}" for rank in range(2)]
    pair: list[subprocess.Popen[bytes]] = []
    for rank, log in enumerate(logs):
        environment = {**os.environ, **common, "LOCAL_RANK": str(rank)}
        with log.open("wb") as out:
            pair.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True))
    try:
        codes = [process.wait(_LIMIT) for process in pair]
    except subprocess.TimeoutExpired:
        codes = None
    finally:
        for process in pair:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if codes != [0, 0]:
        told = "\n".join(log.read_text()[-3000:] for log in logs)
        raise RuntimeError(f"two processes ended with {codes or f'nothing after {_LIMIT} s'}:\n{told}")
