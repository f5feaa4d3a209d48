"""Shards: pieces of a data set, which are read one by one, from any row on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from algorithms.errors import DataError
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.files import Cells, UnreadableRow, read_rows
from datamodules.rows.prompt_rows import PromptReader

# A uid consists of part, shard and row: each part has room for 2**16 shards of 2**32 rows.
PART_BITS, SHARD_BITS = 48, 32


def uid_of(part: int, shard: int, row: int) -> int:
    """Return the uid of a row; that of the first shard of the first part is its position."""
    return part << PART_BITS | shard << SHARD_BITS | row


class Shard(Protocol):
    """A piece of a data set."""

    @property
    def name(self) -> str:
        """Beginning of the names of rows that have no name of their own."""
        ...

    def rows(self, start: int) -> Iterator[Cells | UnreadableRow]:
        """Yield the rows from a position on, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class FileShard:
    """One file."""

    path: Path
    columns: ColumnMap

    @property
    def name(self) -> str:
        """Name of the file without its suffix."""
        return self.path.stem

    def rows(self, start: int) -> Iterator[Cells | UnreadableRow]:
        """Yield the rows from a position on."""
        return islice(read_rows(self.path, self.columns), start, None)


@dataclass(frozen=True, slots=True)
class HubShard:
    """One shard of a data set that ``datasets`` streams."""

    name: str
    dataset: Any
    """A ``datasets.IterableDataset`` of this shard only, whose images are not decoded."""

    def rows(self, start: int) -> Iterator[Cells | UnreadableRow]:
        """Yield the rows from a position on; raise DataError when they cannot be fetched or read."""
        try:
            for row in self.dataset.skip(start) if start else self.dataset:
                yield dict(row)
        # A lost connection and a damaged file raise errors of many classes.
        except Exception as error:
            cause = str(error).strip().partition("\n")[0]
            raise DataError(
                f"the shard {self.name} of a stream cannot be read: {type(error).__name__}: {cause}"
            ) from error


@dataclass(frozen=True, slots=True)
class StreamedPart:
    """One part of a streamed data set: its shards, and the reader that makes prompts from their rows."""

    number: int
    """Number of the part in its mixture; 0 when there is only one part."""

    weight: float
    name: str
    shards: tuple[Shard, ...]
    reader: PromptReader
