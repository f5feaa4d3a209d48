"""Files and folders that a reader sees whole or not at all.

A draft is written beside its target, under another name, and renamed when it is complete. Rename is atomic on one file
system, and a target and its draft are always on the same one. A killed process leaves a draft behind, never half a
target.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the place of a draft; when the context ends well, the draft becomes the file and replaces an older one.

    Args:
        path: the file; missing folders above it are made.
    """
    draft = _draft(path)
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty draft folder; when the context ends well, the draft becomes the folder.

    Args:
        path: the folder; missing folders above it are made.
        replace: True: an older folder is replaced. False: a folder that another process has finished meanwhile stays,
            and the draft is dropped.
    """
    draft = _draft(path)
    draft.mkdir()
    try:
        yield draft
        if replace and path.exists():
            # A folder cannot be renamed over another: between these two lines there is none.
            replaced = _draft(path)
            path.rename(replaced)
            draft.rename(path)
            shutil.rmtree(replaced)
        elif not path.exists():
            draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _draft(path: Path) -> Path:
    """Return a name beside a path that no other process uses; ranks on several machines may have equal process ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{path.name}.draft-{uuid4().hex[:12]}")
