"""Writes files and folders that other programs see complete or not at all.

A draft is written beside its target, under another name, and renamed when it is complete. Renaming is atomic within one
file system, and a target and its draft are always on the same one. A process that is killed leaves a draft behind, but
never half of a target.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

# Part of a draft's name, between the name of its target and a random end.
_MARK = ".draft-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the path of a draft. When the context ends without an error, the draft replaces the file.

    Args:
        path: the file; missing folders above it are created.
    """
    draft = _draft(path)
    try:
        yield draft
        # A full disk may report an error only here. After a power cut the new name must not point to empty blocks.
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        # Replaces an older file in one step, so other programs see either the old or the new file.
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Create a folder and a file in it, and remove the file at once.

    Args:
        folder: folder to test; a new folder stays, empty.

    Raises:
        OSError: when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass


def replace_link(link: Path, target: Path) -> None:
    """Let a symbolic link point to a file or folder in one step: other programs see the older or the new target.

    On a file system without symbolic links the target is copied.

    Args:
        link: path of the link; an older link, file or folder of this name is replaced.
        target: a file or folder; the link holds its path relative to the link's folder, so both can be moved together.
    """
    draft = _draft(link)
    try:
        draft.symlink_to(os.path.relpath(target, link.parent))
    except OSError:
        _copy(target, link)
        return
    if link.is_dir() and not link.is_symlink():
        # A folder must be removed first: neither a file nor a link can be renamed over it.
        shutil.rmtree(link)
    draft.replace(link)


def remove_drafts(folder: Path, suffix: str) -> None:
    """Remove the drafts that killed processes left in a folder; no process may be writing there.

    Args:
        folder: folder of the drafts; it need not exist.
        suffix: end of the targets' names, such as ``.ckpt``.
    """
    for draft in folder.glob(f"*{suffix}{_MARK}*"):
        remove(draft)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty draft folder. When the context ends without an error, the draft becomes the folder.

    Args:
        path: the folder; missing folders above it are created.
        replace: True: an older folder is replaced. False: an older folder stays, for example one that another process
            has just finished, and the draft is removed.
    """
    draft = _draft(path)
    draft.mkdir()
    try:
        yield draft
        if replace and path.exists():
            # A folder cannot be renamed over another one: between the two renames the target does not exist.
            replaced = _draft(path)
            path.rename(replaced)
            draft.rename(path)
            shutil.rmtree(replaced)
        elif not path.exists():
            draft.rename(path)
    finally:
        # After a rename the draft does not exist any more.
        shutil.rmtree(draft, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        with whole_folder(target, replace=True) as draft:
            shutil.copytree(source, draft, dirs_exist_ok=True)
    else:
        with whole_file(target) as draft:
            shutil.copyfile(source, draft)


def _draft(path: Path) -> Path:
    """Return a name beside a path that no other process uses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Random, because process ids may be equal on two machines that share a disk.
    return path.with_name(f"{path.name}{_MARK}{uuid4().hex[:12]}")
