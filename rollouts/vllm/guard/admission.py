"""Checks the headers of a request before its body is read: the sender, the token, the length."""

import re
import socket
from collections.abc import Collection
from email.message import Message

from rollouts.vllm.guard.refusal import Refusal
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE, is_token

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY_INTERFACE = ("0.0.0.0", "::", "")
_DEFAULT_PORT = 80
_MAX_DIGITS = 15  # of a length


def host_names(interface: str, port: int, extra: Collection[str] = ()) -> frozenset[str]:
    """Return the ``Host`` headers that a request to this server may have.

    Args:
        interface: interface that the server listens on.
        port: port of the server.
        extra: further host names, each with or without a port.
    """
    own = (socket.gethostname(), socket.getfqdn()) if interface in _ANY_INTERFACE else (interface,)
    names = [_with_port(name.lower(), port) for name in (*_LOOPBACK, *own, *extra)]
    return frozenset(names)


def check_visitor(headers: Message, *, hosts: Collection[str], address: tuple[str, int], token: str) -> None:
    """Refuse a request that a web page sent, or one without the token.

    Args:
        headers: headers of the request.
        hosts: allowed ``Host`` headers, from ``host_names``.
        address: numeric address and port that the connection reached, which is a good ``Host`` too.
        token: the server's token.

    Raises:
        Refusal: status 400, 401, 403 or 421.
    """
    # DNS rebinding: a web page whose host name was redirected to this machine sends that name as ``Host``.
    named = headers.get_all("Host", [])
    if len(named) != 1:
        raise Refusal(400, f"a request must have one Host header, this one has {len(named)}.")
    if _with_port(named[0].strip().lower(), _DEFAULT_PORT) not in {*hosts, f"{address[0]}:{address[1]}"}:
        raise Refusal(
            421, f"this server does not go by the name {named[0]!r}: start it with --allowed-host to let that name in."
        )
    # Browsers add these headers to requests of web pages; a training run never sends them.
    page = [name for name in headers if name.lower() in ("origin", "referer") or name.lower().startswith("sec-")]
    if page:
        raise Refusal(403, f"requests of web pages are refused, and this one has the header {page[0]}.")
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if len(headers.get_all("Authorization", [])) != 1 or scheme != "Bearer" or not is_token(given.strip(), token):
        raise Refusal(
            401,
            "the header `Authorization: Bearer TOKEN` must have this server's token: set model.engine.token_file or "
            f"{TOKEN_VARIABLE}; the server printed where its token is.",
        )


def content_length(headers: Message, limit: int) -> int:
    """Return the length of a body that must be declared.

    Raises:
        Refusal: status 400 for a length that is no number, 411 without one, 413 above ``limit``.
    """
    lengths = headers.get_all("Content-Length", [])
    if headers.get_all("Transfer-Encoding") or not lengths:
        raise Refusal(411, "the body must be sent whole, with its Content-Length and no Transfer-Encoding.")
    # Only digits: some HTTP readers accept "-1", "+1", "1_0" or " 1, 1" as numbers.
    if len(lengths) != 1 or not re.fullmatch(rf"[0-9]{{1,{_MAX_DIGITS}}}", lengths[0]):
        raise Refusal(400, f"Content-Length must be one whole number of bytes, got {', '.join(lengths)[:80]!r}.")
    if int(lengths[0]) > limit:
        raise Refusal(413, f"the body must have at most {limit} bytes, and {int(lengths[0])} are declared.")
    return int(lengths[0])


def check_chunked(headers: Message) -> None:
    """Refuse a body that does not come in chunks.

    Raises:
        Refusal: status 400; a body with two lengths would be read differently by different readers.
    """
    if headers.get_all("Transfer-Encoding") != ["chunked"] or headers.get_all("Content-Length"):
        raise Refusal(400, "weights must be sent with `Transfer-Encoding: chunked` and without Content-Length.")


def weights_version(headers: Message) -> int:
    """Return the policy version that a request is for.

    Raises:
        Refusal: status 400 unless it is a whole number.
    """
    version = headers.get("Version", "")
    if not re.fullmatch(rf"[0-9]{{1,{_MAX_DIGITS}}}", version):
        raise Refusal(400, f"the header Version must be a whole number of optimizer steps, got {version[:80]!r}.")
    return int(version)


def _with_port(name: str, port: int) -> str:
    return name if re.search(r":[0-9]+$", name) else f"{name}:{port}"
