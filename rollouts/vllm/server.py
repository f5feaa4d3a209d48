"""vLLM as a server: samples for one training run, in a process or on a machine of its own.

    python -m rollouts.vllm.server --port 8000             # on the machine with the GPUs
    python train.py fit ... --model.engine.url=http://HOST:8000

It starts empty. The training run sends it the policy's config and processor, then the weights, and again the weights
after every update; so nothing has to be set twice. The last run to send a policy owns the server; earlier ones are
told so. Whoever can reach the port can use it: keep it inside a cluster.

    GET  /health            {"is_ready", "version"}
    POST /policy            JSON, see rollouts/vllm/wire.py  ->  {"session"}
    POST /weights           chunked safetensors
    POST /generate          JSON  ->  JSON
"""

import argparse
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from rollouts.vllm.model import VLLMModel
from rollouts.vllm.settings import SampledGroup, SampleRequest
from rollouts.vllm.wire import describe, pack_groups, read_weights, unpack_policy, unpack_requests

logger = logging.getLogger(__name__)

_GATHER_SECONDS = 0.01
"""How long a batch waits for requests of other ranks, which ask at about the same time."""


class Owner:
    """Owns the model and runs every call to it in one thread, requests that wait together as one batch."""

    def __init__(self) -> None:
        """Start empty."""
        self.session, self.version = "", -1
        self._model: VLLMModel | None = None
        self._jobs: queue.Queue[tuple[Callable[[], Any] | list[SampleRequest], Future[Any]]] = queue.Queue()

    def take_policy(self, body: bytes) -> str:
        """Replace the model by an empty one of this policy; return the new session."""
        policy, settings = unpack_policy(body)

        def build() -> str:
            if self._model is not None:
                self._model.close()
            self._model, self.version = VLLMModel(policy, settings), -1
            self.session = uuid4().hex
            return self.session

        return self.call(build)

    def take_weights(self, stream: Any, version: int) -> None:
        """Load weights while they come in; until they are all there nothing can be sampled."""

        def load() -> None:
            assert self._model is not None
            self.version = -1
            self._model.load(read_weights(stream))
            self.version = version

        self.call(load)

    def generate(self, requests: list[SampleRequest]) -> list[SampledGroup]:
        """Sample, together with whatever else is waiting."""
        return self._submit(requests)

    def call(self, job: Callable[[], Any]) -> Any:
        """Run something with the model."""
        return self._submit(job)

    def run(self) -> None:
        """Work, forever."""
        while True:
            job, future = self._jobs.get()
            if callable(job):
                _settle([future], lambda job=job: [job()])
                continue
            self._run_batch(job, future)

    def _run_batch(self, requests: list[SampleRequest], future: "Future[Any]") -> None:
        parts, later = [(requests, future)], []
        time.sleep(_GATHER_SECONDS)
        while not self._jobs.empty():
            job, other = self._jobs.get()
            if callable(job):
                later.append((job, other))
                break
            parts.append((job, other))
        _settle([f for _, f in parts], lambda: self._sample([r for r, _ in parts]))
        for job, other in later:
            _settle([other], lambda job=job: [job()])

    def _sample(self, parts: Sequence[list[SampleRequest]]) -> list[list[SampledGroup]]:
        if self._model is None or self.version < 0:
            raise RuntimeError("the server has no weights: an update broke off, or none came yet")
        groups = iter(self._model.generate([request for part in parts for request in part]))
        return [[next(groups) for _ in part] for part in parts]

    def _submit(self, job: Any) -> Any:
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future.result()


def _settle(futures: "Sequence[Future[Any]]", work: Callable[[], Sequence[Any]]) -> None:
    try:
        for future, result in zip(futures, work(), strict=True):
            future.set_result(result)
    except Exception as error:
        logger.exception("a request failed")
        for future in futures:
            future.set_exception(error)


class Handler(BaseHTTPRequestHandler):
    """Turns HTTP into calls of the owner."""

    protocol_version = "HTTP/1.1"
    owner: Owner

    def do_GET(self) -> None:
        """Tell how it is."""
        told = {"is_ready": self.owner.version >= 0, "version": self.owner.version}
        self._answer(200, json.dumps(told).encode())

    def do_POST(self) -> None:
        """Do what the path says."""
        try:
            if self.path == "/policy":
                session = self.owner.take_policy(self._body())
                self._answer(200, json.dumps({"session": session}).encode())
            elif self.headers["Session"] != self.owner.session:
                self.close_connection = True  # the body was not read
                told = "another run has taken this server" if self.owner.session else "the server was restarted"
                self._answer(409, describe(RuntimeError(told)))
            elif self.path == "/weights":
                self.owner.take_weights(self.rfile, int(self.headers["Version"]))
                self._answer(200, b"{}")
            elif self.path == "/generate":
                self._answer(200, pack_groups(self.owner.generate(unpack_requests(self._body()))))
            else:
                self._answer(404, describe(ValueError(self.path)))
        except Exception as error:
            self.close_connection = True
            self._answer(500, describe(error))

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def end_with_parent() -> None:
    """End this process and what it started when its standard input closes, which happens however the parent ends."""
    sys.stdin.buffer.read()
    os.killpg(os.getpgid(0), 9)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until killed; the first line printed is the port."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="interface to listen on; 0.0.0.0 for other machines")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--end-with-parent", action="store_true", help="end when standard input closes")
    options = parser.parse_args(arguments)
    if options.end_with_parent:
        threading.Thread(target=end_with_parent, daemon=True).start()
    Handler.owner = Owner()
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Whoever started it reads the port and no further: what vLLM prints would fill the pipe and stop it.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        out.write(f"{server.server_port}\n")
    Handler.owner.run()


if __name__ == "__main__":
    main()
