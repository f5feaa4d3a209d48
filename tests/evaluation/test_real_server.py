"""Real vLLM as the server of an evaluation: it answers, is started again after a kill, and leaves no process."""

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from evaluation.config import ServerConfig
from evaluation.serving.server import Address, VLLMServer
from evaluation.tiny.__main__ import tiny_evaluation
from tests.conftest import sharp_policy
from tests.evaluation.processes import in_group, wait_until, with_words

pytestmark = pytest.mark.evaluation


def ask(address: Address) -> str:
    body = {"model": address.model, "messages": [{"role": "user", "content": "how many red ?"}], "max_tokens": 4}
    request = urllib.request.Request(
        f"{address.url}/chat/completions", data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {address.key}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def test_a_killed_server_answers_again_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    policy = sharp_policy()
    policy.model.save_pretrained(tmp_path / "policy")
    policy.processor.save_pretrained(tmp_path / "policy")
    flags = tiny_evaluation(tmp_path, tmp_path, vllm_python=None).server.flags
    config = ServerConfig(python=os.environ.get("VLLM_PYTHON"), flags=flags, max_restarts=1)
    server = VLLMServer(tmp_path / "policy", "tiny", config, tmp_path / "server.log")
    try:
        assert isinstance(ask(server.address()), str)
        without_key = Address(server.address().url, "tiny", "guessed")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(without_key)
        (pid,) = set(with_words("vllm.entrypoints", str(tmp_path))) - set(with_words("keeper.py"))
        # vLLM's engine is a process of its own, under a name of its own.
        group = in_group(pid)
        assert len(group) >= 2
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not server.is_alive())
        assert wait_until(lambda: not in_group(pid))
        assert isinstance(ask(server.address()), str)
        assert server.restarts == 1
        (pid,) = set(with_words("vllm.entrypoints", str(tmp_path))) - set(with_words("keeper.py"))
    finally:
        server.stop()
    assert wait_until(lambda: with_words(str(tmp_path)) == [] and not in_group(pid))
