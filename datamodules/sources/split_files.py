"""Finds the files of a split in a folder, and words the errors about folders and files that are not found."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from algorithms.errors import ConfigError, DataError

# Suffixes in order of preference.
SUFFIXES = (".jsonl", ".parquet")
# Suffixes that are read only when the user's name has them.
FURTHER_SUFFIXES = (".json", ".arrow")
KINDS = ".jsonl, .parquet, .json and .arrow"
# Known file types that are not read: CSV has no lists and no types; the others are archives or spreadsheets.
UNREAD_SUFFIXES = (
    ".csv", ".tsv", ".xlsx", ".xls", ".ods", ".gz", ".zst", ".bz2", ".xz", ".zip", ".tar", ".tgz", ".tfrecord", ".pkl",
)  # fmt: skip
# A folder of images may hold a million names.
MAX_NAMES_IN_ERROR = 8
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\..*)")


def find_file(folder: Path, stem: str) -> Path | None:
    """Return the ``.jsonl`` file with this stem, else the ``.parquet`` file, else None; also for a missing folder."""
    # The suffix is appended, because Path.with_suffix would cut the stem "v1.2-hard" at its dot.
    files = (folder / f"{stem}{suffix}" for suffix in SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def find_files(folder: Path, name: str) -> list[Path]:
    """Return the files of a split in order; an empty list when there is none.

    Args:
        folder: the data folder; may be missing.
        name: a file name, with or without ``.jsonl`` or ``.parquet``; a pattern such as ``data/train-*.parquet``; or a
            folder that ``datasets.save_to_disk`` has written.

    Raises:
        DataError: one of several numbered files, such as ``train-00001-of-00003.parquet``, is missing.
    """
    if any(sign in name for sign in "*?["):
        files = sorted(file for file in folder.glob(name) if file.is_file())
        _check_shards(files)
        return files
    if (folder / name / "state.json").is_file():
        return _saved_files(folder / name)
    if Path(name).suffix in (*SUFFIXES, *FURTHER_SUFFIXES) and (folder / name).is_file():
        return [folder / name]
    file = find_file(folder, name)
    return [] if file is None else [file]


def require_files(folder: Path, name: str, *, split: str, key: str, path: str) -> list[Path]:
    """Return the files that ``find_files`` finds, or explain what is missing.

    Args:
        folder: the data folder.
        name: name or pattern of the split's files.
        split: "train", "val" or "test".
        key: the source as a user types it, such as ``data.source``.
        path: the folder as the user typed it.

    Raises:
        ConfigError: The folder does not exist.
        DataError: The folder has no file for the split, or some of its numbered files are missing.
    """
    require_folder(folder, key=f"{key}.path", path=path)
    if files := find_files(folder, name):
        if unread := [file.name for file in files if is_unread(file)]:
            raise DataError(f"{key}.{split} is {name!r}, where {how_to_convert(unread)}.")
        return files
    if (folder / name).is_file():
        raise DataError(f"{key}.{split} is {name!r}, and {how_to_convert([name])}.")
    if (folder / "state.json").is_file():
        raise DataError(
            f"{key}.path={path!r} is itself a data set that datasets.save_to_disk has written, without splits: set "
            f"{key}.{split} to '.', and the splits that it does not have to null."
        )
    is_exact = any(sign in name for sign in "*?[") or Path(name).suffix in (*SUFFIXES, *FURTHER_SUFFIXES)
    looked_for = name if is_exact else " and ".join(name + suffix for suffix in SUFFIXES)
    unread = unread_names(folder)
    raise DataError(
        f"{key}.path={path!r} has no file for the split {split}: looked for {looked_for}, found {contents(folder)}; "
        f"{how_to_convert(unread) if unread else f'rows are read from {KINDS}'}; "
        f"rename a file or set {key}.{split} to its name without suffix, or to a pattern: data/{split}-*.parquet."
    )


def is_unread(file: Path) -> bool:
    """Return whether a file has a known type of data that is not read."""
    return file.suffix.lower() in UNREAD_SUFFIXES


def unread_names(folder: Path) -> list[str]:
    """Return the names of a folder's data files of types that are not read, in alphabetical order."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_file() and is_unread(entry))


def how_to_convert(names: Sequence[str]) -> str:
    """Return a clause about files that are not read: the types that are read, and how to convert.

    Args:
        names: names of the files, at least one.
    """
    table = next((name for name in names if name.lower().endswith((".csv", ".tsv"))), None)
    if table is None:
        how = "unpack it, or write its rows as one JSON object a line"
    else:
        options = ", sep='\\t'" if table.lower().endswith(".tsv") else ""
        # As text: else 007 becomes 7, a choice "3" becomes 3.0, and the answer "None" is lost.
        how = f"pandas.read_csv({table!r}{options}, dtype=str, keep_default_na=False).to_parquet('train.parquet')"
    return (
        f"{first_names(names)} {'is' if len(names) == 1 else 'are'} not read, since rows are read from {KINDS}: {how}"
    )


def require_folder(folder: Path, *, key: str, path: str | None) -> None:
    """Refuse a folder that does not exist; the ConfigError has the key and the path as typed."""
    if not folder.is_dir():
        raise ConfigError(f"{key} must be an existing folder, got {path!r}: {what_is_at(folder)}.")


def what_is_at(path: Path) -> str:
    """Describe a path for messages: a folder with some of its names, a file, or nothing."""
    if path.is_dir():
        return f"{path} is a folder with {contents(path)}"
    return f"{path} is {'a file' if path.exists() else 'not there'}"


def contents(folder: Path) -> str:
    """Return the first names of a folder in alphabetical order, for messages."""
    return first_names(sorted(entry.name for entry in folder.iterdir())) or "an empty folder"


def first_names(names: Sequence[str]) -> str:
    """Return the first names and the number of further names, for messages."""
    shown = ", ".join(names[:MAX_NAMES_IN_ERROR])
    num_more = len(names) - MAX_NAMES_IN_ERROR
    return f"{shown} and {num_more} more" if num_more > 0 else shown


def _saved_files(folder: Path) -> list[Path]:
    """Return the arrow files of a folder that ``datasets.save_to_disk`` has written."""
    state = json.loads((folder / "state.json").read_text())
    files = [folder / entry["filename"] for entry in state["_data_files"]]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise DataError(f"{folder} lacks {first_names(missing)}, which its state.json names: copy the folder again.")
    return files


def _check_shards(files: Sequence[Path]) -> None:
    """Refuse numbered files of which some are missing: their rows would be missing silently."""
    found: dict[tuple[Path, str, str, str], set[int]] = {}
    for file in files:
        if match := _SHARD.fullmatch(file.name):
            found.setdefault((file.parent, match[1], match[3], match[4]), set()).add(int(match[2]))
    for (folder, stem, total, suffix), numbers in found.items():
        missing = sorted(set(range(int(total))) - numbers)
        if missing:
            names = [f"{stem}-{number:05d}-of-{total}{suffix}" for number in missing]
            raise DataError(
                f"{folder} has {len(numbers)} of {int(total)} files {stem}-*{suffix} and lacks {first_names(names)}: "
                "download them, or name the files that are there one by one."
            )
