"""Helpers for tests about processes: which are there, and waiting."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path


def with_words(*words: str) -> list[int]:
    """Return the processes with all of these texts in their command line, zombies left out."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if line and all(word in line for word in words):
            found.append(int(folder.name))
    return found


def in_group(group: int) -> set[int]:
    """Return the processes of a process group, zombies included."""
    found: set[int] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getpgid(int(folder.name)) == group:
                    found.add(int(folder.name))
    return found


def wait_until(is_so: Callable[[], bool], *, seconds: float = 30.0) -> bool:
    """Return whether something becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.05)
    return is_so()
