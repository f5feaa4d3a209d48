"""Finds the files with the training and the validation rows at a path."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.types as types

from algorithms import ConfigError, DataError
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.files import TABLE_SUFFIXES, UnreadableRow, holds_bytes, read_rows
from datamodules.rows.parquet import parquet_rows
from datamodules.sources.split_files import contents, find_files, how_to_convert, is_unread, unread_names

SUFFIXES = (".jsonl", ".parquet", ".json", ".arrow")
NUM_ROWS_READ = 1000
"""Most rows that are read, the first ones of a file."""

# In bytes. A larger file is not read as a whole.
_LARGEST_OBJECT = 2**29
_STEMS = {"train": ("train", "training"), "val": ("val", "validation", "valid", "dev", "testmini", "test")}


@dataclass(frozen=True)
class DataFiles:
    """A folder, and the name or pattern of the files of a split, as a config names them."""

    folder: str
    name: str
    files: Sequence[Path]

    @property
    def num_rows(self) -> int:
        """Number of rows in the files, good and bad."""
        return sum(_num_rows(file, self.records) for file in self.files)

    @cached_property
    def records(self) -> str | None:
        """Key of the list of rows in a JSON file that is one object; None when the file is the list itself."""
        file = self.files[0]
        if file.suffix != ".json" or file.stat().st_size > _LARGEST_OBJECT:
            return None
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError):
            return None
        keys = [key for key, value in content.items() if _is_list_of_rows(value)] if isinstance(content, dict) else []
        return keys[0] if len(keys) == 1 else None

    def cells(self, columns: ColumnMap) -> Iterator[tuple[str, dict[str, Any] | UnreadableRow]]:
        """Return the first rows, each with a name for reports."""
        rows = (
            (f"{file.stem}-{number}", row) for file in self.files for number, row in enumerate(read_rows(file, columns))
        )
        return islice(rows, NUM_ROWS_READ)

    def byte_columns(self) -> list[str]:
        """Return the columns of a table that hold bytes."""
        file = self.files[0]
        if file.suffix not in TABLE_SUFFIXES:
            return []
        try:
            schema = parquet_rows(file).file.schema_arrow
        # Arrow raises errors of any class at damaged bytes.
        except Exception as error:
            raise DataError(f"{file} cannot be read: {str(error).partition(chr(10))[0]}; write it again.") from error
        return [field.name for field in schema if holds_bytes(field.type) and not types.is_map(field.type)]


def training_files(path: str) -> DataFiles:
    """Return the training files at a path: a file, or a folder with files of splits or with one file.

    Raises:
        ConfigError: the path does not exist, or it is unclear which file is meant.
    """
    return _at("--data", path, "train")


def validation_files(path: str | None, training: DataFiles) -> DataFiles | None:
    """Return the validation files: the named ones, else the ones beside the training files, else None.

    Raises:
        ConfigError: for what ``training_files`` refuses.
    """
    if path is not None:
        found = _at("--val", path, "val")
        return found if [*found.files] != [*training.files] else _same(path)
    found = _of_split(Path(training.folder).expanduser(), training.folder, "val")
    return found if found is not None and found.files != training.files else None


def _same(path: str) -> DataFiles:
    raise ConfigError(f"--val is {path!r}, which holds the training rows: leave it out to train without validation.")


def _at(flag: str, path: str, split: str) -> DataFiles:
    place = Path(path).expanduser()
    if not path.strip() or not place.exists():
        raise ConfigError(
            f"{flag} must be a file or a folder, got {path!r}, where there is nothing: fetch a data set of a hub first."
        )
    if place.is_file():
        return _one_file(flag, path, place)
    # ``datasets.save_to_disk`` writes this file into its folder.
    if (place / "state.json").is_file():
        return DataFiles(str(Path(path).parent), place.name, find_files(place.parent, place.name))
    found = _of_split(place, path, split)
    if found is not None:
        return found
    # A single file of rows needs no name of a split.
    several = sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)
    if len(several) == 1:
        return DataFiles(path, several[0].name, several)
    raise ConfigError(
        f"{flag} is {path!r}, which has {'several files' if several else 'no file'} of rows and none that is named "
        f"{split}: give one file ({', '.join(SUFFIXES)}); found: {contents(place)}"
        f"{f'; {how_to_convert(unread)}' if (unread := unread_names(place)) else ''}."
    )


def _one_file(flag: str, path: str, place: Path) -> DataFiles:
    if is_unread(place):
        raise ConfigError(f"{flag} is {path!r}, and {how_to_convert([place.name])}.")
    if place.suffix not in SUFFIXES:
        raise ConfigError(
            f"{flag} is {path!r}: rows are read from {', '.join(SUFFIXES)}. Convert it: "
            "datasets.load_dataset(KIND, data_files=FILE)['train'].to_parquet('train.parquet')."
        )
    if not place.stat().st_size:
        raise DataError(f"{flag} is {path!r}, which is empty.")
    return DataFiles(str(Path(path).parent), place.name, [place])


def _of_split(folder: Path, path: str, split: str) -> DataFiles | None:
    for stem in _STEMS[split]:
        names = [name for suffix in SUFFIXES for name in (f"{stem}{suffix}", f"data/{stem}{suffix}")]
        patterns = [f"{place}{stem}{sign}*.parquet" for place in ("", "data/", f"{stem}/") for sign in ("-", "_")]
        for name in [*names, stem, *patterns]:
            if files := find_files(folder, name):
                return DataFiles(path, name, files)
    return None


def _is_list_of_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _num_rows(file: Path, records: str | None) -> int:
    if file.suffix in TABLE_SUFFIXES:
        return parquet_rows(file).starts[-1]
    if file.suffix == ".json":
        return sum(1 for _ in read_rows(file, ColumnMap(records=records)))
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
