"""Files and folders that a reader sees complete or not at all.

A draft is written beside its target, under another name, and renamed when it is complete. Renaming is atomic within one
file system, and a target and its draft are always on the same one. A process that is killed leaves a draft behind, but
never half of a target.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the path of a draft. When the context ends without an error, the draft replaces the file.

    Args:
        path: the file; missing folders above it are made.
    """
    draft = _draft(path)
    try:
        yield draft
        # Replaces an older file in one step: a reader sees the old one or the new one.
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


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


def _draft(path: Path) -> Path:
    """Return a name beside a path that no other process uses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Random and not the process id, which may be the same on two machines that share a disk.
    return path.with_name(f"{path.name}.draft-{uuid4().hex[:12]}")
