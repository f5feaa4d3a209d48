"""Reads the bytes that a connection sends, within limits of size and time."""

import io
import socket
import time

from rollouts.vllm.guard.limits import Limits
from rollouts.vllm.guard.refusal import Refusal, TryAgain

_PIECE = 2**20  # bytes


class _TimedSocket(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Set how many seconds all reads together may take from now on."""
        self._seconds, self._end = seconds, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]", /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        # The socket's own time-out is not enough, because it starts again with every byte.
        left = self._end - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            return self._connection.recv_into(buffer)
        except TimeoutError as error:
            raise TryAgain(408, f"the sender was too slow: what should come now took {self._seconds:g} s.") from error


class Incoming(io.BufferedReader):
    """Reads the headers of one request within one limit, and then its body, where each read has a limit of its own."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        """Give the sender ``limits.header_s`` seconds for its headers, from now on."""
        self._socket = _TimedSocket(connection, limits.header_s)
        super().__init__(self._socket)
        self._limits, self._header_left = limits, limits.header_bytes
        self._in_header = True

    def start_body(self) -> None:
        """Switch from the limits of headers to those of the body."""
        self._in_header = False

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line, of at most ``size`` bytes.

        Raises:
            Refusal: status 431 for too long headers, 408 for a sender that is too slow.
        """
        if not self._in_header:
            self._socket.allow(self._limits.idle_s)
            return super().readline(size)
        line = super().readline(self._header_left + 1)
        self._header_left -= len(line)
        if self._header_left < 0:
            raise Refusal(431, f"first line and headers must have at most {self._limits.header_bytes} bytes together.")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, fewer at the end of what is sent.

        Raises:
            Refusal: status 408 for a sender that is too slow.
        """
        assert size is not None
        assert size >= 0, "reading to the end has no limit"
        self._socket.allow(self._limits.idle_s + size / self._limits.bytes_per_s)
        return super().read(size)

    def read_body(self, length: int) -> bytes:
        """Return a body of this length.

        Raises:
            Refusal: status 400 when it ends early, 408 for a sender that is too slow.
        """
        # Read in pieces, so that memory is allocated for bytes that arrived and not for the announced length.
        body = bytearray()
        while len(body) < length:
            piece = self.read(min(_PIECE, length - len(body)))
            if not piece:
                raise Refusal(400, f"the body ended after {len(body)} of {length} bytes.")
            body += piece
        return bytes(body)

    def discard(self, seconds: float) -> None:
        """Read and drop further bytes for at most so many seconds: closing at once could lose the server's answer."""
        self._socket.allow(seconds)
        try:
            while self.read1(_PIECE):
                pass
        except (Refusal, OSError):
            return
