"""Reads checkpoints: tensors and plain values only, with a reason when a checkpoint cannot be read.

A checkpoint is a file that ``torch.save`` wrote, or a folder of slices that ``torch.distributed.checkpoint`` wrote.
Both are pickles, and a pickle can run any code. The functions here read them without running code.
"""

import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from storage.slices import INDEX_NAME, VALUES_NAME, read_slice_index


class UnreadableCheckpoint(ValueError):
    """A checkpoint is missing, incomplete, or holds more than tensors and plain values."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint; tensors of a file are mapped into memory and not read, slices are left out.

    Raises:
        UnreadableCheckpoint: has the reason, as the end of a sentence about the path.
    """
    if path.is_symlink() and not path.exists():
        raise UnreadableCheckpoint(f"links to {path.readlink()}, which does not exist")
    if not path.exists():
        raise UnreadableCheckpoint("does not exist")
    return _read_folder(path) if path.is_dir() else _read_file(path)


def newest_readable(paths: Iterable[Path]) -> Path | None:
    """Return the readable checkpoint that was written last; None when there is none."""
    for path in sorted(paths, key=lambda path: path.lstat().st_mtime_ns, reverse=True):
        try:
            read_checkpoint(path)
        except UnreadableCheckpoint:
            continue
        return path
    return None


def _read_file(path: Path) -> dict[str, Any]:
    if not path.stat().st_size:
        raise UnreadableCheckpoint("is empty")
    # The table of a zip archive is at its end, so a truncated file has none.
    if not zipfile.is_zipfile(path):
        raise UnreadableCheckpoint("is not a complete checkpoint file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        # torch's own message recommends weights_only=False, with which the file could run any code.
        raise UnreadableCheckpoint("holds Python objects other than tensors and plain values") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise UnreadableCheckpoint(f"cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise UnreadableCheckpoint(f"holds a {type(content).__name__}, but a checkpoint holds a dictionary")
    return content


def _read_folder(path: Path) -> dict[str, Any]:
    for name in (INDEX_NAME, VALUES_NAME):
        if not (path / name).is_file():
            raise UnreadableCheckpoint(f"is not a complete folder of slices: it has no {name}")
    try:
        index = read_slice_index(path / INDEX_NAME)
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, IndexError) as error:
        raise UnreadableCheckpoint(f"has a {INDEX_NAME} that cannot be read: {error}") from None
    for name, least in index.file_sizes().items():
        if not (path / name).is_file() or (path / name).stat().st_size < least:
            raise UnreadableCheckpoint(f"is not a complete folder of slices: {name} is missing or too short")
    return _read_file(path / VALUES_NAME)
