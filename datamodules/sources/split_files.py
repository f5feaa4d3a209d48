"""Which file of a folder holds a split, and the sentences for a user whose folder or file is not found."""

from collections.abc import Sequence
from pathlib import Path

from algorithms.errors import ConfigError, DataError

# In the order of preference.
SUFFIXES = (".jsonl", ".parquet")
# A folder of images may hold a million names.
MAX_NAMES_IN_ERROR = 8


def find_file(folder: Path, stem: str) -> Path | None:
    """Return the ``.jsonl`` file with this stem, else the ``.parquet`` file, else None; the folder may be missing."""
    # The suffix is appended: Path.with_suffix would cut the stem "v1.2-hard" at its dot.
    files = (folder / f"{stem}{suffix}" for suffix in SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def require_file(folder: Path, stem: str, *, split: str, key: str, path: str) -> Path:
    """Return what ``find_file`` returns, or explain what is missing.

    Args:
        folder: the data folder.
        stem: file name of the split without suffix.
        split: "train", "val" or "test".
        key: the source as a user types it, such as ``data.source``.
        path: the folder as the user typed it.

    Raises:
        ConfigError: The folder is not there.
        DataError: The folder has no file for the split.
    """
    require_folder(folder, key=f"{key}.path", path=path)
    if file := find_file(folder, stem):
        return file
    raise DataError(
        f"{key}.path={path!r} has no file for the split {split}: looked for "
        f"{' and '.join(stem + suffix for suffix in SUFFIXES)}, found {contents(folder)}; rename a file or set "
        f"{key}.{split} to its name without suffix."
    )


def require_folder(folder: Path, *, key: str, path: str | None) -> None:
    """Refuse a folder that is not there; raises ConfigError with the key and the path as typed."""
    if not folder.is_dir():
        raise ConfigError(f"{key} must be an existing folder, got {path!r}: {what_is_at(folder)}.")


def what_is_at(path: Path) -> str:
    """Return what lies at a path, for messages: a folder with some of its names, a file, or nothing."""
    if path.is_dir():
        return f"{path} is a folder with {contents(path)}"
    return f"{path} is {'a file' if path.exists() else 'not there'}"


def contents(folder: Path) -> str:
    """Return the first names of a folder in alphabetical order, for messages."""
    return first_names(sorted(entry.name for entry in folder.iterdir())) or "an empty folder"


def first_names(names: Sequence[str]) -> str:
    """Return the first names and how many more there are, for messages."""
    shown = ", ".join(names[:MAX_NAMES_IN_ERROR])
    num_more = len(names) - MAX_NAMES_IN_ERROR
    return f"{shown} and {num_more} more" if num_more > 0 else shown
