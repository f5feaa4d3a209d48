"""The HTTP side of a vLLM server: checks a request, reads it, and answers."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeVar

from rollouts.vllm.guard.admission import check_chunked, check_visitor, content_length, host_names, weights_version
from rollouts.vllm.guard.incoming import Incoming
from rollouts.vllm.guard.limits import Limits
from rollouts.vllm.guard.refusal import Refusal
from rollouts.vllm.guard.transfer_rules import check_step
from rollouts.vllm.guard.visitors import Visitors
from rollouts.vllm.model_thread import ModelThread
from rollouts.vllm.settings import TRANSFER_STEPS
from rollouts.vllm.wire import (
    pack_error,
    pack_groups,
    read_weights,
    unpack_policy,
    unpack_requests,
    unpack_step,
    unpack_tied,
    with_tied,
)

T = TypeVar("T")
logger = logging.getLogger(__name__)

TRANSFER_REFUSED = (
    "this server takes weights over HTTP only, and model.engine.settings.weight_transfer asks for {backend}: start it "
    "with --allow-weight-transfer, which docs/security.md describes, or leave weight_transfer at http."
)

# Seconds for reading and dropping bytes that a refused sender still sends.
_FAREWELL_S = 1.0


class RolloutServer(ThreadingHTTPServer):
    """One thread per connection, one request per connection."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        model: ModelThread,
        address: tuple[str, int],
        token: str,
        *,
        allowed_hosts: Collection[str],
        limits: Limits,
        allows_transfer: bool,
    ) -> None:
        """Listen; ``serve_forever`` answers. ``http_server`` describes the arguments."""
        super().__init__(address, Handler)
        self.model, self.token, self.limits, self.allows_transfer = model, token, limits, allows_transfer
        self.hosts = host_names(address[0], self.server_port, allowed_hosts)
        self.visitors = Visitors(limits.max_strangers, limits.max_connections)
        self._update: socket.socket | None = None
        self._update_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count a connection, and handle it in a thread of its own."""
        self.visitors.enter(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.visitors.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error after which no answer could be sent; by default it would be printed."""
        logger.warning("a connection broke off", exc_info=True)

    @contextmanager
    def update_of(self, connection: socket.socket) -> Iterator[None]:
        """Close the connection of an earlier update, which its sender has given up: two updates need twice the
        memory."""
        with self._update_lock:
            if self._update is not None:
                with suppress(OSError):
                    # Only reading is shut down, so that the sender still gets an answer.
                    self._update.shutdown(socket.SHUT_RD)
            self._update = connection
        try:
            yield
        finally:
            with self._update_lock:
                if self._update is connection:
                    self._update = None


class Handler(BaseHTTPRequestHandler):
    """Turns a connection's request into a call of the model's thread."""

    # Weights come in chunks.
    protocol_version = "HTTP/1.1"
    # The base class would answer requests of HTTP 0.9 without a status.
    default_request_version = request_version = "HTTP/1.1"
    server_version, sys_version = "rollouts", ""
    server: RolloutServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        """Read within the limits of the server."""
        super().setup()
        self.rfile.close()
        self.rfile = self._incoming = Incoming(self.connection, self.server.limits)

    def handle_one_request(self) -> None:
        """Answer a request, or refuse it, and close the connection."""
        try:
            super().handle_one_request()
        except Refusal as refusal:
            self._refuse(refusal)
        except ConnectionError:
            logger.debug("a sender has gone before it was answered")
        # Part of the body may be unread, and on an open connection it would be read as the next request.
        self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that the base class finds wrong, in JSON like every other refusal."""
        self._refuse(Refusal(code, message or explain or "this is no request that the server knows."))

    def do_GET(self) -> None:
        """Answer a request that reads."""
        self._do()

    def do_POST(self) -> None:
        """Answer a request with a body."""
        self._do()

    def _do(self) -> None:
        """Check the sender, and answer with a result or with an error."""
        try:
            server, address = self.server, self.connection.getsockname()
            # Headers are checked before a byte of the body is read, so that a stranger cannot make the server work.
            check_visitor(self.headers, hosts=server.hosts, address=address, token=server.token)
            server.visitors.recognise(self.connection)
            self._incoming.start_body()
            method, answer = self._ROUTES.get(self.path, ("", None))
            if answer is None:
                raise Refusal(404, f"there is no {self.path[:80]!r}, only {', '.join(self._ROUTES)}.")
            if self.command != method:
                raise Refusal(405, f"{self.path} takes {method} and no {self.command}.")
            body = answer(self)
        except (Refusal, ConnectionError):
            raise
        except Exception as error:
            self._answer(500, pack_error(error))
        else:
            self._answer(200, body)

    def _health(self) -> bytes:
        """Answer whether the weights are complete, and their version."""
        version = self.server.model.version
        return json.dumps({"is_ready": version >= 0, "version": version}).encode()

    def _policy(self) -> bytes:
        policy, settings = self._body(unpack_policy, self.server.limits.policy_bytes)
        if settings.weight_transfer != "http" and not self.server.allows_transfer:
            raise Refusal(403, TRANSFER_REFUSED.format(backend=settings.weight_transfer))
        return json.dumps({"session": self.server.model.take_policy(policy, settings)}).encode()

    def _weights(self) -> bytes:
        session = self._session()
        check_chunked(self.headers)
        version = weights_version(self.headers)
        # The whole body is read before the model's thread gets the job, because a sender may be slow or stop sending.
        with self.server.update_of(self.connection), _refused("the weights"):
            tied = unpack_tied(self.headers.get("Tied", "{}"))
            weights = list(with_tied(read_weights(self.rfile, self.server.limits.update_bytes), tied))
        self.server.model.take_weights(session, weights, version)
        return b"{}"

    def _step(self) -> bytes:
        """Take a step of vLLM's weight transfer, in which the server connects to the trainer."""
        if not self.server.allows_transfer:
            raise Refusal(403, TRANSFER_REFUSED.format(backend="it"))
        session, version, step = self._session(), weights_version(self.headers), self.path.removeprefix("/")
        arguments = self._body(unpack_step, self.server.limits.policy_bytes)
        with _refused("the step"):
            check_step(step, arguments, self.server.limits.update_bytes)
        self.server.model.take_step(session, step, arguments, version)
        return b"{}"

    def _generate(self) -> bytes:
        session, version = self._session(), weights_version(self.headers)
        requests = self._body(unpack_requests, self.server.limits.requests_bytes)
        return pack_groups(self.server.model.generate(session, requests, version))

    _ROUTES: ClassVar[dict[str, tuple[str, Callable[["Handler"], bytes]]]] = {
        "/health": ("GET", _health),
        "/policy": ("POST", _policy),
        "/weights": ("POST", _weights),
        "/generate": ("POST", _generate),
        **dict.fromkeys([f"/{step}" for step in TRANSFER_STEPS], ("POST", _step)),
    }

    def _session(self) -> str:
        """Return the session of the request, checked now so that a body is not read in vain."""
        session = self.headers.get("Session", "")
        self.server.model.check_session(session)
        return session

    def _body(self, unpack: Callable[[bytes], T], limit: int) -> T:
        body = self._incoming.read_body(content_length(self.headers, limit))
        with _refused("the body"):
            return unpack(body)

    def _refuse(self, refusal: Refusal) -> None:
        with suppress(OSError):
            self._answer(refusal.status, pack_error(refusal))
            self.connection.shutdown(socket.SHUT_WR)
            self._incoming.discard(_FAREWELL_S)

    def _answer(self, status: int, body: bytes) -> None:
        limits = self.server.limits
        # The time-out covers the whole answer: for ``sendall`` it does not start again with every byte.
        self.connection.settimeout(limits.idle_s + len(body) / limits.bytes_per_s)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Keep requests out of the log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log."""


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Refuse a body that cannot be unpacked, whatever the reason."""
    try:
        yield
    except (Refusal, ConnectionError):
        raise
    except Exception as error:
        raise Refusal(400, f"{what} cannot be used: {type(error).__name__}: {error}") from error
