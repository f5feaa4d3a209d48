"""The server of an evaluation, with a program in place of vLLM: waited for, told, restarted and never left over."""

import logging
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from algorithms import ConfigError
from evaluation.config import ServerConfig
from evaluation.serving.processes import KeptProcess, inherited
from evaluation.serving.server import EvaluationError, VLLMServer, check_vllm
from tests.evaluation.processes import wait_until, with_words

FAKE = Path(__file__).with_name("fake_endpoint.py")


def fake_vllm(folder: Path) -> Path:
    """Write an interpreter that runs the fake in place of the module it is asked for."""
    program = folder / "fake-python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def server(folder: Path, *, max_restarts: int = 1) -> VLLMServer:
    config = ServerConfig(python=str(fake_vllm(folder)), max_restarts=max_restarts, start_seconds=30)
    return VLLMServer(folder, "tiny", config, folder / "server.log")


def test_a_server_that_died_is_told_and_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    serving = server(tmp_path)
    try:
        first = serving.address()
        (pid,) = with_words(str(FAKE), str(tmp_path), "--port")[-1:]
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not serving.is_alive())
        with caplog.at_level(logging.WARNING):
            second = serving.address()
        assert "started again (1 of 1)" in caplog.text
        assert urllib.request.urlopen(second.url.removesuffix("/v1") + "/health").status == 200
        assert first.model == second.model == "tiny"
        assert len(first.key) > 30
    finally:
        serving.stop()
    assert wait_until(lambda: with_words(str(tmp_path)) == [])


def test_a_server_that_dies_too_often_ends_the_evaluation_with_its_log(tmp_path: Path) -> None:
    serving = server(tmp_path, max_restarts=0)
    serving.address()
    for pid in with_words(str(FAKE), str(tmp_path)):
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not serving.is_alive())
    with pytest.raises(EvaluationError, match=r"server\.max_restarts is 0"):
        serving.address()


def test_a_server_that_does_not_come_up_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    config = ServerConfig(python=sys.executable)
    serving = VLLMServer(tmp_path, "tiny", config, tmp_path / "server.log")
    serving.command = lambda port: [sys.executable, "-c", "raise SystemExit('no such model')"]  # type: ignore[method-assign]
    with pytest.raises(EvaluationError, match="no such model"):
        serving.address()


def test_nothing_is_left_of_a_command_when_who_started_it_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom evaluation.serving.processes import KeptProcess, inherited\n"
        "KeptProcess(['sh', '-c', 'sleep 987 & sleep 987; : ' + sys.argv[1]], Path(sys.argv[1]) / 'log', inherited())\n"
        "print('started', flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, env=inherited(PYTHONPATH=str(Path.cwd()))
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"

    def shells() -> set[int]:
        return set(with_words("sh -c sleep", str(tmp_path))) - set(with_words("keeper.py")) - {parent.pid}

    def children() -> list[str]:
        return [pid for shell in shells() for pid in Path(f"/proc/{shell}/task/{shell}/children").read_text().split()]

    assert wait_until(lambda: len(shells()) == 1 and len(children()) == 2)
    started = [*map(str, shells()), *children()]
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))


def test_the_status_of_a_command_is_its_own(tmp_path: Path) -> None:
    process = KeptProcess(["sh", "-c", "echo told; exit 7"], tmp_path / "log", inherited())
    assert wait_until(lambda: process.status is not None)
    process.stop()
    assert (process.status, process.tail()) == (7, "told\n")


def test_an_interpreter_without_vllm_is_told_with_how_to_get_it(tmp_path: Path) -> None:
    without = tmp_path / "python"
    without.write_text("#!/bin/sh\nexit 1\n")
    without.chmod(0o755)
    with pytest.raises(ConfigError, match=r"make setup-vllm.*endpoint\.url"):
        check_vllm(ServerConfig(python=str(without)))
    check_vllm(ServerConfig(python=str(fake_vllm(tmp_path))))


def test_a_signal_that_ended_a_command_is_in_its_status(tmp_path: Path) -> None:
    process = KeptProcess(["sh", "-c", "kill -9 $$"], tmp_path / "log", inherited())
    assert wait_until(lambda: process.status is not None)
    process.stop()
    assert process.status == 128 + signal.SIGKILL


def test_flags_of_the_config_reach_the_server(tmp_path: Path) -> None:
    flags = {"max-model-len": 256, "enforce-eager": True, "seed": None, "limit": {"image": 9}}
    config = ServerConfig(python="py", flags=flags)
    command = VLLMServer(tmp_path, "tiny", config, tmp_path / "log").command(1234)
    assert command[:3] == ["py", "-m", "vllm.entrypoints.openai.api_server"]
    assert "--max-model-len 256 --enforce-eager" in " ".join(command)
    assert "--host 127.0.0.1 --port 1234" in " ".join(command)
    assert "--seed" not in command
    # As vLLM reads it: JSON, and not Python.
    assert command[command.index("--limit") + 1] == '{"image": 9}'
