"""Locks a folder, so that only one process at a time writes to it."""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK_NAME = "run.lock"
_HELD = (errno.EACCES, errno.EAGAIN)

logger = logging.getLogger(__name__)

# Folders that this process has locked. It must not open their lock files again: closing any handle of a file releases
# the lock of the whole process.
_own: set[Path] = set()


class FolderInUse(RuntimeError):
    """Another process writes to the folder.

    Args:
        folder: the folder.
        holder: the other process, such as ``process 12 on node7``; empty when it is unknown.
    """

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(f"{folder} is in use by {holder or 'another process'}")
        self.folder, self.holder = folder, holder


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes while the context is open; create a missing folder.

    The operating system releases the lock when the process ends in any way. On a file system without locks a warning is
    logged and nothing is locked.

    Raises:
        FolderInUse: when another process has the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The lock file is not removed: it may be the file that another process has just locked.
    with (folder / LOCK_NAME).open("a+") as file:
        _lock(file, folder)
        _own.add(folder.resolve())
        try:
            yield
        finally:
            _own.discard(folder.resolve())


def is_locked(folder: Path) -> bool:
    """Return whether a process has the lock of a folder."""
    if folder.resolve() in _own:
        return True
    try:
        file = (folder / LOCK_NAME).open("r+")
    except OSError:
        return False
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in _HELD
    return False


def _lock(file: IO[str], folder: Path) -> None:
    """Take the lock, and write the name of this process into the lock file."""
    try:
        # A lock of the process (lockf) and not of the open file (flock): child processes, such as those of an engine,
        # would inherit a lock of the file, and a child that outlives a killed run would keep the folder locked.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            file.seek(0)
            raise FolderInUse(folder, file.read().strip()) from None
        logger.warning("%s cannot be locked against other runs: %s", folder, error)
        return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
