"""Counts and limits the connections that a server holds open."""

import json
import socket
import threading
from contextlib import suppress

from rollouts.vllm.guard.refusal import TryAgain


def _dropped() -> bytes:
    body = json.dumps({"error": "TryAgain: too many connections have not shown a token; this was the oldest."})
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


class Visitors:
    """Open connections, in two groups: those that have shown the token, and strangers, which have not."""

    def __init__(self, max_strangers: int, max_known: int) -> None:
        """Start without any."""
        self._max_strangers, self._max_known = max_strangers, max_known
        self._strangers: dict[socket.socket, None] = {}
        self._known: set[socket.socket] = set()
        self._lock = threading.Lock()

    def enter(self, connection: socket.socket) -> None:
        """Count a new connection. Of too many strangers the oldest is dropped: a real run shows its token soon."""
        with self._lock:
            self._strangers[connection] = None
            if len(self._strangers) > self._max_strangers:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                with suppress(OSError):
                    # This thread accepts all connections, so it must not wait for one of them.
                    oldest.send(_dropped(), socket.MSG_DONTWAIT)
                    oldest.shutdown(socket.SHUT_RDWR)

    def recognise(self, connection: socket.socket) -> None:
        """Count a connection among those that have shown the token.

        Raises:
            TryAgain: status 503, when there are too many of them.
        """
        with self._lock:
            if connection not in self._strangers or len(self._known) >= self._max_known:
                raise TryAgain(503, f"the server has {self._max_known} connections at most, and now has that many.")
            del self._strangers[connection]
            self._known.add(connection)

    def leave(self, connection: socket.socket) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._strangers.pop(connection, None)
            self._known.discard(connection)
