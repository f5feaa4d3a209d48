"""Files and folders that a reader sees complete or not at all.

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

# Between the name of a target and the random end of its draft's name.
_MARK = ".draft-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the path of a draft. When the context ends without an error, the draft replaces the file.

    Args:
        path: the file; missing folders above it are made.
    """
    draft = _draft(path)
    try:
        yield draft
        # A disk that is full may report it only now. After a power cut the new name must not stand for empty blocks.
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        # Replaces an older file in one step: a reader sees the old one or the new one.
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make a folder and a file in it, which is gone again at once.

    Args:
        folder: stays, empty where it is new.

    Raises:
        OSError: where nothing can be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass


def replace_link(link: Path, target: Path) -> None:
    """Let a symbolic link point to a file or folder in one step: a reader sees the older target or the new one.

    Where the file system has no symbolic links, the target is copied.

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
        # Neither a file nor a link can be renamed over a folder.
        shutil.rmtree(link)
    draft.replace(link)


def remove_drafts(folder: Path, suffix: str) -> None:
    """Remove the drafts that killed processes left in a folder; no process may be writing there.

    Args:
        folder: where the drafts lie; it need not exist.
        suffix: how the names of their targets end, such as ``.ckpt``.
    """
    for draft in folder.glob(f"*{suffix}{_MARK}*"):
        remove(draft)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty draft folder. When the context ends without an error, the draft becomes the folder.

    Args:
        path: the folder; missing folders above it are made.
        replace: True: an older folder is replaced. False: an older folder stays, such as one that another process has
            finished meanwhile, and the draft is dropped.
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
    # Random and not the process id, which may be the same on two machines that share a disk.
    return path.with_name(f"{path.name}{_MARK}{uuid4().hex[:12]}")
