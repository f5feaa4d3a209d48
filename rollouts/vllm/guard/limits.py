"""Limits of a server: how many bytes it accepts, and how long it waits."""

import os
from dataclasses import dataclass


def _main_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one sender may cost the server. A real training run of usual size stays far below these limits."""

    header_bytes: int = 16 * 2**10
    """First line and headers of a request, together."""

    header_s: float = 10.0
    """Seconds from the connection to the end of its headers."""

    policy_bytes: int = 512 * 2**20
    """Body of ``/policy``; tokenizer files make up nearly all of it."""

    requests_bytes: int = 4 * 2**30
    """Body of ``/generate``; pictures make up nearly all of it."""

    update_bytes: int = _main_memory()
    """All tensors of one update, which wait in main memory until they are complete."""

    idle_s: float = 120.0
    """Longest silence within a body, in seconds. Gathering the next sharded tensor may take a while."""

    bytes_per_s: float = 100e3
    """Slowest sender: a read of n bytes has ``idle_s + n / bytes_per_s`` seconds."""

    max_strangers: int = 32
    """Connections that have not shown the token yet; a further one drops the oldest of them."""

    max_connections: int = 256
    """Connections that have shown the token; further ones are refused."""
