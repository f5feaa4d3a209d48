"""Where the token of a server is, and where it is not."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms import ConfigError
from models import Policy
from rollouts import EngineError, VLLMServerEngine
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE, is_token, new_token, read_token, write_token
from rollouts.vllm.server import announce
from rollouts.vllm.server_process import ServerProcess
from tests.rollouts.vllm.stand_in import TOKEN, serving, take_vllms_place


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "of" / "server.token"
    write_token(path, TOKEN)
    return path


def test_a_token_file_can_be_read_by_its_owner_only(token_file: Path) -> None:
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file.parent.stat().st_mode) == 0o700
    assert read_token(token_file) == TOKEN


def test_a_server_that_starts_again_replaces_its_older_token(token_file: Path) -> None:
    token_file.chmod(0o644)
    write_token(token_file, second := new_token())
    assert read_token(token_file) == second
    assert [path.name for path in token_file.parent.iterdir()] == ["server.token"]


def test_a_file_that_is_no_token_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("two\nlines")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "notes", tmp_path / "link", tmp_path):
        with pytest.raises(ConfigError, match="--token-file must be a new file or an older token"):
            write_token(path, TOKEN)
    assert (tmp_path / "notes").read_text() == "two\nlines"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o777])
def test_a_token_file_that_others_can_read_or_write_is_refused(token_file: Path, mode: int) -> None:
    token_file.chmod(mode)
    with pytest.raises(ConfigError, match=r"model\.engine\.token_file=.*readable by its owner only"):
        read_token(token_file)


def test_what_is_no_token_file_is_refused_with_the_key(tmp_path: Path) -> None:
    (short := tmp_path / "short").write_text("secret")
    (binary := tmp_path / "binary").write_bytes(b"\xff" * 50)
    os.mkfifo(pipe := tmp_path / "pipe", 0o600)
    for path in (short, binary):
        path.chmod(0o600)
    for path in (short, binary, pipe, tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError, match=r"^model\.engine\.token_file="):
            read_token(path)


def test_a_token_file_of_another_user_is_refused(token_file: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match="another user wrote it"):
        read_token(token_file)


@pytest.mark.parametrize("given", ["", TOKEN[:-1], TOKEN + "x", TOKEN.swapcase(), "é", "\udcff", TOKEN[::-1]])
def test_only_the_whole_token_is_the_token(given: str) -> None:
    assert is_token(TOKEN, TOKEN)
    assert not is_token(given, TOKEN)


def test_tokens_are_compared_in_constant_time(monkeypatch) -> None:
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda one, other: compared.append((one, other)) or True)
    assert is_token("x", "y")
    assert compared == [(b"x", b"y")]


@pytest.mark.parametrize("value", ["", "hunter2", "x" * 31, "x" * 300, TOKEN + " ", "y" * 40 + "\n"])
def test_a_token_that_can_be_guessed_or_is_none_is_refused(value: str, monkeypatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, value)
    with pytest.raises(ConfigError, match=f"^{TOKEN_VARIABLE} must be 32 to 256 letters") as error:
        VLLMServerEngine(url="http://localhost:8000")
    assert not value.strip() or value.strip() not in str(error.value)


def test_a_server_elsewhere_without_a_token_is_refused_at_once(monkeypatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"model\.engine\.token_file must name .* http://localhost:8000"):
        VLLMServerEngine(url="http://localhost:8000")
    with pytest.raises(ConfigError, match=r"model\.engine\.token_file is for a server at model\.engine\.url"):
        VLLMServerEngine(token_file="x")
    with pytest.raises(ConfigError, match=r"model\.engine\.environment must not have ROLLOUT_SERVER_TOKEN"):
        VLLMServerEngine(environment={TOKEN_VARIABLE: TOKEN})


def test_a_run_with_the_wrong_token_stops_at_once_and_says_so(policy: Policy, token_file: Path, monkeypatch) -> None:
    take_vllms_place(policy, monkeypatch)
    with serving() as url:
        engine = VLLMServerEngine(url=url, token_file=str(token_file), timeout_s=60.0)
        write_token(token_file, wrong := new_token())
        with pytest.raises(EngineError, match=r"failed 1 time\(s\).*Authorization: Bearer TOKEN.*token_file") as error:
            engine.sync(policy, version=0)
        assert wrong not in str(error.value)
        # The file is read again, so a server that was started anew is found.
        write_token(token_file, TOKEN)
        engine.sync(policy, version=0)
    token_file.unlink()
    engine._session, engine._version = "", None
    with pytest.raises(EngineError, match=r"ConfigError: model\.engine\.token_file=.*cannot be read"):
        engine.sync(policy, version=1)


def test_a_server_that_a_run_starts_shares_its_token_by_the_environment_alone(
    tmp_path: Path, monkeypatch, caplog, capfd
) -> None:
    (python := tmp_path / "python").write_text("#!/bin/sh\necho 8000\nread nothing\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    # That of another server, which the user started by hand.
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    one, other = ServerProcess({"CUDA_VISIBLE_DEVICES": ""}), ServerProcess()
    try:
        assert len({one.token, other.token, TOKEN}) == 3
        for server in (one, other):
            command = Path(f"/proc/{server.pid}/cmdline").read_text()
            assert "rollouts.vllm.server" in command
            assert server.token not in command
            assert Path(f"/proc/{server.pid}/environ").stat().st_mode & 0o077 == 0
            assert server.token in Path(f"/proc/{server.pid}/environ").read_text()
    finally:
        one.stop()
        other.stop()
    assert one.token not in caplog.text + "".join(capfd.readouterr())


def test_where_the_token_is_gets_said_and_the_token_does_not(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    announce(TOKEN, None, 8000)
    (path,) = (tmp_path / ".cache" / "rollouts").iterdir()
    said = capsys.readouterr().err
    assert path.name.endswith("-8000.token")
    assert f"--model.engine.token_file={path}\n" in said
    assert TOKEN not in said
    assert read_token(path) == TOKEN


@pytest.mark.slow
def test_a_server_started_by_hand_prints_where_its_token_is_and_not_the_token(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path)}
    environment.pop(TOKEN_VARIABLE, None)
    command = [sys.executable, "-m", "rollouts.vllm.server", "--port=0", "--end-with-parent"]
    pipe = subprocess.PIPE
    server = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    )
    port = int(server.stdout.readline())
    (path,) = (tmp_path / ".cache" / "rollouts").iterdir()
    token = read_token(path)
    assert path.name.endswith(f"-{port}.token")
    _, said = server.communicate("")
    assert f"--model.engine.token_file={path}" in said
    assert token not in said
