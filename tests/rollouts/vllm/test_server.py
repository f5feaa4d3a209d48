"""What only a server can suffer: being killed, taken over, or left alone. Real vLLM, on the CPU."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import Policy
from rollouts import EngineError, SamplingConfig, VLLMServerEngine
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE
from rollouts.vllm.server_process import ServerProcess
from rollouts.vllm.settings import VLLMSettings
from rollouts.vllm.wire import weight_chunks
from tests.conftest import sharp_policy

pytestmark = pytest.mark.vllm

SETTINGS = VLLMSettings(max_model_len=256, cache_megabytes=64)
SAMPLING = SamplingConfig(group_size=2, temperature=0.8, max_new_tokens=12)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return sharp_policy()


@pytest.fixture
def engine() -> Iterator[VLLMServerEngine]:
    engine = VLLMServerEngine(SETTINGS, max_restarts=1)
    yield engine
    engine.shut_down()


def sampled(engine: VLLMServerEngine, prompts) -> list[list[str]]:
    groups = engine.generate(prompts, SAMPLING, seed=7)
    return [[completion.text for completion in group] for group in groups]


def exists(pid: int) -> bool:
    """Return whether a process runs, one that has ended and waits for its parent not counted."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int, *, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while exists(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not exists(pid)


def test_a_killed_server_is_restarted_once_and_reported_the_second_time(engine, policy, prompts) -> None:
    engine.sync(policy, version=0)
    before = sampled(engine, prompts)
    os.kill(engine.process.pid, signal.SIGKILL)
    assert sampled(engine, prompts) == before
    assert engine.num_restarts == 1
    os.kill(engine.process.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"failed 2 time\(s\)"):
        sampled(engine, prompts)


def test_shutting_down_leaves_no_process(engine, policy) -> None:
    engine.sync(policy, version=0)
    pid = engine.process.pid
    engine.shut_down()
    assert not exists(pid)


def test_what_a_server_prints_cannot_fill_a_pipe_that_nobody_reads() -> None:
    server = ServerProcess()
    out, errors = (Path(f"/proc/{server.pid}/fd/{number}").readlink() for number in (1, 2))
    server.stop()
    assert out == errors


def test_a_server_ends_with_a_run_that_was_killed() -> None:
    start = "from rollouts.vllm.server_process import ServerProcess as S; s = S(); print(s.pid, flush=True); input()"
    trainer = subprocess.Popen([sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    server = int(trainer.stdout.readline())
    assert exists(server)
    trainer.kill()
    trainer.wait()
    assert wait_until_gone(server)


def test_a_run_whose_server_was_taken_by_another_run_is_told_so(policy, prompts, monkeypatch) -> None:
    server = ServerProcess()
    monkeypatch.setenv(TOKEN_VARIABLE, server.token)
    first, second = (VLLMServerEngine(SETTINGS, url=server.url) for _ in range(2))
    first.sync(policy, version=0)
    second.sync(policy, version=0)
    assert sampled(second, prompts)
    with pytest.raises(EngineError, match="another run has taken"):
        sampled(first, prompts)
    server.stop()


def test_weights_that_break_off_are_never_sampled_from(engine, policy, prompts) -> None:
    import http.client
    from contextlib import closing
    from urllib.parse import urlsplit

    engine.sync(policy, version=0)
    before = sampled(engine, prompts)
    address = urlsplit(engine.process.url).netloc
    with closing(http.client.HTTPConnection(address)) as connection:
        connection.putrequest("POST", "/weights")
        headers = {"Session": engine._session, "Version": "1", "Transfer-Encoding": "chunked"}
        for name, value in (headers | {"Authorization": f"Bearer {engine.process.token}"}).items():
            connection.putheader(name, value)
        connection.endheaders()
        chunk = next(weight_chunks(policy.stream_weights()))
        connection.send(f"{len(chunk):x}\r\n".encode() + chunk[: len(chunk) // 2])
    # The half that came was put aside, and never reached the model.
    assert sampled(engine, prompts) == before
    assert engine.num_restarts == 0
