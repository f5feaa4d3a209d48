"""What a server answers to strangers, web pages, bodies without end and senders that fall silent."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import torch

from models import Policy
from rollouts import SamplingConfig, VLLMServerEngine
from rollouts.vllm.guard.admission import host_names
from rollouts.vllm.guard.limits import Limits
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE
from rollouts.vllm.model_thread import ModelThread
from rollouts.vllm.wire import weight_chunks
from tests.rollouts.vllm.stand_in import TOKEN, StandInModel, serving, take_vllms_place

SMALL = Limits(
    header_bytes=2000, header_s=0.3, idle_s=0.3, policy_bytes=1000, requests_bytes=500, update_bytes=5000,
    bytes_per_s=1e5, max_strangers=3, max_connections=2,
)  # fmt: skip
ROUTES = [("GET", "/health"), ("POST", "/policy"), ("POST", "/weights"), ("POST", "/generate")]
KEY = f"Authorization: Bearer {TOKEN}\r\n"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Of a server whose limits are small."""
    with serving(model := ModelThread(), SMALL) as url:
        model.session = "mine"
        yield "127.0.0.1", int(url.rpartition(":")[2])


def answer_of(connection: socket.socket) -> tuple[int, str]:
    """Return status and error of an answer, which must be one JSON sentence."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    body = json.loads(response.read())
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Connection"] == "close"
    return response.status, body.get("error", "")


def first_answer_to(address: tuple[str, int], sent: str | bytes) -> tuple[int, str]:
    with closing(socket.create_connection(address, timeout=5)) as connection:
        connection.sendall(sent if isinstance(sent, bytes) else sent.encode("latin-1"))
        return answer_of(connection)


def answer_to(address: tuple[str, int], sent: str | bytes) -> tuple[int, str]:
    deadline = time.monotonic() + 5
    # The server may still count connections that were closed a moment ago.
    while (answer := first_answer_to(address, sent))[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer


def head(address: tuple[str, int], start: str, *lines: str) -> str:
    """Return a request's first line and headers with the right host."""
    return "\r\n".join([f"{start} HTTP/1.1", f"Host: {address[0]}:{address[1]}", *lines]) + "\r\n\r\n"


def is_healthy(address: tuple[str, int]) -> bool:
    started = time.monotonic()
    status, _ = answer_to(address, head(address, "GET /health", KEY.strip()))
    return status == 200 and time.monotonic() - started < 2


# --- who asks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("POST", "/"), ("GET", "/token"), ("POST", "/health?x=1")])
@pytest.mark.parametrize(
    "key",
    ["", "Authorization: Bearer ", f"Authorization: Bearer {TOKEN[:-1]}", f"Authorization: Basic {TOKEN}",
     f"Authorization: {TOKEN}", f"Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer x", f"X-Token: {TOKEN}",
     "Authorization: Bearer \xe9\xff", f"Cookie: token={TOKEN}"],
)  # fmt: skip
def test_no_route_answers_without_the_token(address, method: str, path: str, key: str) -> None:
    lines = [line for line in (key, "Session: mine", "Version: 0", "Content-Length: 2") if line]
    status, error = answer_to(address, head(address, f"{method} {path}", *lines) + "{}")
    assert (status, error.split(":")[0]) == (401, "Refusal")
    assert TOKEN not in error


def test_every_route_is_reached_with_the_token(address) -> None:
    assert is_healthy(address)
    statuses = {
        path: answer_to(address, head(address, f"{m} {path}", KEY.strip(), "Content-Length: 0"))[0]
        for m, path in ROUTES
    }
    # Refused for what they bring, and not for who asks.
    assert statuses == {"/health": 200, "/policy": 400, "/weights": 409, "/generate": 409}


@pytest.mark.parametrize(
    "line",
    ["Origin: http://127.0.0.1:8000", "Origin: null", "origin: https://example.org", "Referer: https://example.org/x",
     "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "sec-ch-ua: x"],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_what_a_web_page_sends_is_refused_even_with_the_token(address, method: str, path: str, line: str) -> None:
    status, error = answer_to(address, head(address, f"{method} {path}", KEY.strip(), line))
    assert status == 403
    assert line.split(":")[0] in error


@pytest.mark.parametrize(
    "host",
    ["example.org", "example.org:PORT", "127.0.0.1:1", "127.0.0.1.example.org:PORT", "127.0.0.1:PORT@example.org",
     "localhost", "0.0.0.0:PORT", "", "127.0.0.1:PORTx", "127.0.0.1:0PORT", "127.0.0.2:PORT", "a, 127.0.0.1:PORT"],
)  # fmt: skip
def test_a_server_answers_to_its_own_names_only(address, host: str) -> None:
    named = f"Host: {host.replace('PORT', str(address[1]))}"
    status, error = answer_to(address, f"GET /health HTTP/1.1\r\n{named}\r\n{KEY}\r\n")
    assert status == 421
    assert "--allowed-host" in error


def test_a_request_has_exactly_one_host(address) -> None:
    good = f"Host: 127.0.0.1:{address[1]}\r\n"
    for hosts in ("", good * 2, good + "Host: example.org\r\n"):
        assert answer_to(address, f"GET /health HTTP/1.1\r\n{hosts}{KEY}\r\n")[0] == 400
    assert answer_to(address, f"GET /health HTTP/1.1\r\n{good.upper()}{KEY}\r\n")[0] == 200
    assert answer_to(address, f"GET /health HTTP/1.1\r\n{good.replace('127.0.0.1', 'LocalHost')}{KEY}\r\n")[0] == 200


def test_a_name_can_be_allowed_with_and_without_its_port() -> None:
    names = host_names("10.0.0.5", 8000, ["GPU7.cluster", "tunnel:9000"])
    assert {"10.0.0.5:8000", "gpu7.cluster:8000", "tunnel:9000", "localhost:8000"} <= names
    assert f"{socket.gethostname().lower()}:8000" in host_names("0.0.0.0", 8000)


@pytest.mark.parametrize(
    ("start", "status"),
    [("OPTIONS /policy", 501), ("PUT /policy", 501), ("TRACE /health", 501), ("GET /generate", 405),
     ("POST /health", 405), ("GET /", 404), ("GET /../health", 404), ("POST /policy/", 404),
     ("GET http://127.0.0.1/health", 404), ("GET /health x", 400)],
)  # fmt: skip
def test_other_methods_and_paths_are_refused_in_json(address, start: str, status: int) -> None:
    assert answer_to(address, head(address, start, KEY.strip()))[0] == status


@pytest.mark.parametrize("sent", ["\x16\x03\x01\x02\r\n\r\n", "GET\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n",
                                  "GET /health\r\n\r\n", "GET /health FTP/1.1\r\n\r\n"])  # fmt: skip
def test_what_is_no_request_of_this_version_is_refused_in_json(address, sent: str) -> None:
    assert answer_to(address, sent)[0] in (400, 505)


# --- how much -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: -1"], 400),
        (["Content-Length: +2"], 400),
        (["Content-Length: 1_0"], 400),
        (["Content-Length: 0x2"], 400),
        (["Content-Length: 2.0"], 400),
        (["Content-Length: "], 400),
        (["Content-Length: \xb2"], 400),
        (["Content-Length: 2, 2"], 400),
        (["Content-Length: 2", "Content-Length: 2"], 400),
        (["Content-Length: 2", "Content-Length: 3"], 400),
        ([f"Content-Length: {'9' * 40}"], 400),
        (["Content-Length: 1001"], 413),
        (["Content-Length: 999999999999999"], 413),
        ([], 411),
        (["Transfer-Encoding: chunked"], 411),
        (["Transfer-Encoding: chunked", "Content-Length: 2"], 411),
        (["Transfer-Encoding: gzip", "Content-Length: 2"], 411),
    ],
    ids=str,
)
def test_a_body_has_one_plain_length_within_the_limit(address, lines: list[str], status: int) -> None:
    assert answer_to(address, head(address, "POST /policy", KEY.strip(), *lines) + "{}")[0] == status
    assert is_healthy(address)


def test_each_route_has_a_limit_of_its_own(address) -> None:
    lines = [KEY.strip(), "Session: mine", "Version: 0", "Content-Length: 501"]
    assert answer_to(address, head(address, "POST /generate", *lines) + "x" * 501)[0] == 413
    assert answer_to(address, head(address, "POST /policy", *lines) + "x" * 501)[0] == 400


@pytest.mark.parametrize(
    "lines",
    [["Content-Length: 20"], ["Transfer-Encoding: chunked", "Content-Length: 20"], ["Transfer-Encoding: gzip, chunked"],
     ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], ["Transfer-Encoding: identity"], []],
)  # fmt: skip
def test_weights_come_in_chunks_and_in_no_other_way(address, lines: list[str]) -> None:
    start = [KEY.strip(), "Session: mine", "Version: 0", *lines]
    assert answer_to(address, head(address, "POST /weights", *start) + "0\r\n\r\n")[0] == 400


@pytest.mark.parametrize("version", ["", "-1", "1.0", "1_0", "0x1", "\xb2", "9" * 30])
@pytest.mark.parametrize("path", ["/weights", "/generate"])
def test_a_version_is_a_whole_number(address, path: str, version: str) -> None:
    start = [KEY.strip(), "Session: mine", f"Version: {version}", "Transfer-Encoding: chunked"]
    status, error = answer_to(address, head(address, f"POST {path}", *start) + "0\r\n\r\n")
    assert status == 400
    assert "Version" in error


def test_weights_above_the_limit_are_refused_whatever_their_chunks_say(address) -> None:
    start = head(address, "POST /weights", KEY.strip(), "Session: mine", "Version: 0", "Transfer-Encoding: chunked")
    assert answer_to(address, start + "fffffffffff\r\n")[0] == 400
    chunk = next(weight_chunks([("a", torch.ones(500))]))
    part = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
    status, error = answer_to(address, start.encode() + part * 3)
    assert status == 400
    assert "larger than this server takes" in error
    assert is_healthy(address)


@pytest.mark.parametrize(
    "long",
    ["GET /" + "x" * 3000, "GET /health HTTP/1.1\r\nX: " + "x" * 3000,
     "GET /health HTTP/1.1\r\n" + "".join(f"X-{i}: 1\r\n" for i in range(300))],
    ids=["line", "header", "headers"],
)  # fmt: skip
def test_headers_above_the_limit_are_refused(address, long: str) -> None:
    status, error = answer_to(address, long)
    assert status == 431
    assert "at most 2000 bytes" in error or "headers" in error


# --- how slowly ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["", "GET /hea", "GET /health HTTP/1.1\r\n", "POST /policy HTTP/1.1\r\nHost: a\r\nX"])
def test_headers_that_do_not_come_are_not_waited_for(address, sent: str) -> None:
    assert answer_to(address, sent)[0] == 408


def trickled(address: tuple[str, int], start: str, rest: str) -> tuple[int, str]:
    """Return the answer to a sender of ten bytes a second."""
    with closing(socket.create_connection(address, timeout=5)) as connection:
        connection.sendall(start.encode())
        try:
            for byte in rest.encode():
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        return answer_of(connection)


def test_a_sender_that_trickles_is_cut_off_however_often_it_sends(address) -> None:
    assert trickled(address, "", "GET /health HTTP/1.1\r\n")[0] == 408
    start = head(address, "POST /policy", KEY.strip(), "Content-Length: 900")
    assert trickled(address, start, "{" * 12)[0] == 408


def test_a_body_that_ends_early_is_an_error_and_not_waited_for(address) -> None:
    start = head(address, "POST /policy", KEY.strip(), "Content-Length: 900")
    with closing(socket.create_connection(address, timeout=5)) as connection:
        connection.sendall(start.encode() + b'{"files"')
        connection.shutdown(socket.SHUT_WR)
        status, error = answer_of(connection)
    assert (status, "ended after 8 of 900 bytes" in error) == (400, True)


def test_too_many_strangers_push_out_the_oldest_and_never_one_who_has_the_token(address) -> None:
    strangers = [socket.create_connection(address, timeout=5) for _ in range(6)]
    assert answer_of(strangers[0])[0] == 503
    assert is_healthy(address)
    for stranger in strangers:
        stranger.close()


def test_too_many_connections_with_the_token_are_refused_until_one_ends(address) -> None:
    start = head(address, "POST /policy", KEY.strip(), "Content-Length: 900")
    holders = [socket.create_connection(address, timeout=5) for _ in range(2)]
    for holder in holders:
        holder.sendall(start.encode())
    time.sleep(0.1)
    assert first_answer_to(address, head(address, "GET /health", KEY.strip()))[0] == 503
    for holder in holders:
        holder.close()
    time.sleep(0.1)
    assert is_healthy(address)


# --- a sender that falls silent -----------------------------------------------------------------------------


@pytest.fixture
def engine(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Iterator[VLLMServerEngine]:
    """Has its weights on a server that waits long for silent senders."""
    take_vllms_place(policy, monkeypatch)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with serving(limits=Limits(idle_s=60.0, header_s=60.0)) as url:
        engine = VLLMServerEngine(url=url, timeout_s=20.0)
        engine.sync(policy, version=0)
        yield engine


def silent_update(engine: VLLMServerEngine, version: int = 1) -> socket.socket:
    """Send half a tensor, and say no more."""
    host, port = engine._address.split(":")
    lines = [KEY.strip(), f"Session: {engine._session}", f"Version: {version}", "Transfer-Encoding: chunked"]
    chunk = next(weight_chunks([("model.vision_tower.x", torch.ones(1000))]))
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.sendall(head((host, int(port)), "POST /weights", *lines).encode())
    connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk[: len(chunk) // 2])
    return connection


def sampled(engine: VLLMServerEngine, prompts) -> list[list[str]]:
    groups = engine.generate(prompts, SamplingConfig(group_size=2, max_new_tokens=4), seed=1)
    return [[completion.text for completion in group] for group in groups]


def test_half_a_tensor_holds_up_nobody_and_is_never_sampled_from(engine, policy, prompts) -> None:
    before = sampled(engine, prompts)
    started = time.monotonic()
    with closing(silent_update(engine)):
        assert sampled(engine, prompts) == before
        VLLMServerEngine(url=engine.url).sync(policy, version=0)  # another run takes the server
        assert time.monotonic() - started < 20
    assert len(StandInModel.built) == 2
    assert all("model.vision_tower.x" not in model.weights for model in StandInModel.built)


def test_an_update_that_broke_off_leaves_the_weights_before_it(engine, prompts) -> None:
    before = sampled(engine, prompts)
    silent_update(engine).close()
    assert sampled(engine, prompts) == before
    assert engine.num_restarts == 0


def test_a_new_update_cuts_off_one_that_fell_silent(engine, policy, prompts) -> None:
    with closing(silent_update(engine)) as connection:
        engine.sync(policy, version=1)
        status, error = answer_of(connection)
    assert (status, "broke off" in error) == (400, True)
    assert sampled(engine, prompts)


def test_an_update_of_a_run_that_lost_the_server_changes_nothing(engine, policy, prompts) -> None:
    connection = silent_update(engine)
    other = VLLMServerEngine(url=engine.url)
    assert other._try_connect(policy) == ""
    chunk = next(weight_chunks([("model.vision_tower.x", torch.ones(1000))]))
    connection.sendall(chunk[len(chunk) // 2 :] + b"\r\n0\r\n\r\n")
    status, error = answer_of(connection)
    connection.close()
    assert (status, "another run has taken" in error) == (409, True)
    other.sync(policy, version=0)
    assert sampled(other, prompts)
    assert all("model.vision_tower.x" not in model.weights for model in StandInModel.built)
