"""A server that speaks OpenAI's protocol and says what it is told to; also a program in place of vLLM's server.

As a program it takes vLLM's flags and answers ``Yes``: ``python fake_endpoint.py -m MODULE --port N ...``.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = str | dict[str, Any] | int
"""A text, a whole message, or the status of a request that fails."""


class FakeEndpoint:
    """Answers with a function of the prompt's text, and remembers what it was asked."""

    def __init__(self, reply: Callable[[str], Reply], *, seconds: float = 0.0, port: int = 0) -> None:
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": "fake"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = text_of(body["messages"])
                endpoint.asked.append(text)
                endpoint.bodies.append(body)
                time.sleep(seconds)
                said = reply(text)
                if isinstance(said, int):
                    return self._send(said, {"error": {"message": "told to fail", "type": "fake", "code": said}})
                message = {"role": "assistant", "content": said} if isinstance(said, str) else said
                usage = {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "fake", "choices": [choice]}
                return self._send(200, answer | {"usage": usage})

            def _send(self, status: int, content: dict[str, Any]) -> None:
                encoded = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                # Who asked may have been killed.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(encoded)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "FakeEndpoint":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def text_of(messages: list[dict[str, Any]]) -> str:
    """Return all texts of a conversation, with ``<image>`` for each picture."""
    texts: list[str] = []
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            texts.append(content)
        else:
            texts += ["<image>" if part["type"] == "image_url" else part["text"] for part in content]
    return "".join(texts)


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[0] == "-c":
        # Whether it has vLLM: yes.
        return
    seconds = float(arguments[arguments.index("--fake-seconds") + 1]) if "--fake-seconds" in arguments else 0.0
    port = int(arguments[arguments.index("--port") + 1])
    with FakeEndpoint(lambda _: "Yes", seconds=seconds, port=port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
