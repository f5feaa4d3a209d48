"""Digests of everything that determines a score: a folder's files, and settings."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WHOLE_BYTES = 16 << 20  # files up to this size are read whole
_BLOCKS, _BLOCK_BYTES = 16, 64 << 10


def folder_digest(folder: Path) -> str:
    """Return a digest of names and contents of all files below a folder; of large files, size and some blocks."""
    digest = hashlib.sha256()
    # The history of a clone does not change scores.
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    for file in sorted(files):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder)}\0{size}\0".encode())
        with file.open("rb") as content:
            if size <= _WHOLE_BYTES:
                digest.update(content.read())
                continue
            # Blocks are evenly spaced, the first at the beginning and the last at the end of the file.
            for block in range(_BLOCKS):
                content.seek((size - _BLOCK_BYTES) * block // (_BLOCKS - 1))
                digest.update(content.read(_BLOCK_BYTES))
    return digest.hexdigest()[:16]


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return a short digest of settings, for the name of a folder."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:10]
