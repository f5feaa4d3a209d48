"""vLLM as a server: samples for one training run, in a process or on a machine of its own.

    python -m rollouts.vllm.server --port 8000             # on the machine with the GPUs
    python train.py fit ... --model.engine.url=http://HOST:8000

It starts empty. The training run sends it the policy's config and processor, then the weights, and after every update
the weights that changed; so nothing has to be set twice. The last run that sent a policy has the server; requests of
earlier runs are refused. There is no authentication: anyone who reaches the port can use it, so keep it inside a
cluster.

    GET  /health            {"is_ready", "version"}
    POST /policy            JSON, see rollouts/vllm/wire.py  ->  {"session"}
    POST /weights           chunked safetensors
    POST /generate          JSON  ->  JSON
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rollouts.vllm.model_thread import ModelThread
from rollouts.vllm.wire import SERVER_TAKEN, pack_error, pack_groups, unpack_requests


class Handler(BaseHTTPRequestHandler):
    """Turns one connection's HTTP requests into calls of the model's thread."""

    # Connections stay open for several requests, and bodies may be chunked.
    protocol_version = "HTTP/1.1"

    def __init__(self, model: ModelThread, *connection: Any) -> None:
        """Handle all requests of a connection; the base class does so in its constructor.

        Args:
            model: what samples.
            connection: what ``ThreadingHTTPServer`` passes to its handlers.
        """
        self._model = model
        super().__init__(*connection)

    def do_GET(self) -> None:
        """Answer whether the weights are complete, and of which version, whatever the path."""
        health = {"is_ready": self._model.version >= 0, "version": self._model.version}
        self._answer(200, json.dumps(health).encode())

    def do_POST(self) -> None:
        """Answer a request with its result, or with status 409 (another session), 404 or 500 and an error."""
        try:
            self._post()
        except Exception as error:
            # Part of the body may be unread; on an open connection it would be taken for the next request.
            self.close_connection = True
            self._answer(500, pack_error(error))

    def _post(self) -> None:
        if self.path == "/policy":
            session = self._model.take_policy(self._body())
            self._answer(200, json.dumps({"session": session}).encode())
        elif self.headers["Session"] != self._model.session:
            self.close_connection = True  # the body was not read
            reason = SERVER_TAKEN if self._model.session else "the server was restarted"
            self._answer(409, pack_error(RuntimeError(reason)))
        elif self.path == "/weights":
            self._model.take_weights(self.rfile, int(self.headers["Version"]))
            self._answer(200, b"{}")
        elif self.path == "/generate":
            self._answer(200, pack_groups(self._model.generate(unpack_requests(self._body()))))
        else:
            self.close_connection = True
            self._answer(404, pack_error(ValueError(self.path)))

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def http_server(model: ModelThread, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server that listens, and answers in a thread of its own.

    Args:
        model: what the requests are for; ``ModelThread.run`` must be called in some thread.
        host: interface to listen on.
        port: 0 takes a free one, which ``server_port`` of the result names.
    """
    server = ThreadingHTTPServer((host, port), partial(Handler, model))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def end_with_parent() -> None:
    """Kill this process and its children when standard input closes, which happens however the parent ends."""
    sys.stdin.buffer.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until killed; the first line printed is the port."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="interface to listen on; 0.0.0.0 for other machines")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--end-with-parent", action="store_true", help="end when standard input closes")
    options = parser.parse_args(arguments)
    if options.end_with_parent:
        threading.Thread(target=end_with_parent, daemon=True).start()
    model = ModelThread()
    server = http_server(model, options.host, options.port)
    # The parent process reads the port and no further, so anything that vLLM prints to standard output would fill the
    # pipe and then block. It goes to standard error from here on.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        out.write(f"{server.server_port}\n")
    # vLLM gets the main thread, HTTP another one.
    model.run()


if __name__ == "__main__":
    main()
