"""Reads single cells of image columns in parquet and arrow files on demand.

Parquet can only be read by whole row groups. So the row groups that were read last are kept, as encoded bytes and never
as pixels, up to a memory limit. A file with small row groups (``row_group_size=100``, as Hugging Face datasets writes
images) can be read quickly in any order; a huge row group is kept whole, because it cannot be read in parts. An arrow
file is mapped into memory; its record batches are its row groups.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

MAX_KEPT_BYTES = 256 * 2**20


class TableFile(Protocol):
    """A file of row groups."""

    schema_arrow: pa.Schema
    num_row_groups: int
    group_rows: list[int]
    """Number of rows of each row group."""

    group_bytes: list[int]
    """Size of each row group in memory."""

    def read_row_group(self, group: int, *, columns: Sequence[str], use_threads: bool) -> pa.Table:
        """Return columns of one row group."""
        ...


class ParquetTable:
    """A parquet file."""

    def __init__(self, path: Path) -> None:
        """Open the file and read its footer."""
        self._file = pq.ParquetFile(path)
        self.schema_arrow, self.num_row_groups = self._file.schema_arrow, self._file.num_row_groups
        groups = [self._file.metadata.row_group(group) for group in range(self.num_row_groups)]
        self.group_rows = [group.num_rows for group in groups]
        self.group_bytes = [group.total_byte_size for group in groups]

    def read_row_group(self, group: int, *, columns: Sequence[str], use_threads: bool) -> pa.Table:
        """Return columns of one row group."""
        return self._file.read_row_group(group, columns=list(columns), use_threads=use_threads)


class ArrowTable:
    """An arrow file, as a stream or with a footer."""

    def __init__(self, path: Path) -> None:
        """Map the file into memory."""
        mapped = pa.memory_map(str(path))
        try:
            self._batches = list(pa.ipc.open_stream(mapped))
        except pa.ArrowInvalid:
            with_footer = pa.ipc.open_file(mapped)
            self._batches = [with_footer.get_batch(number) for number in range(with_footer.num_record_batches)]
            self.schema_arrow = with_footer.schema
        else:
            mapped.seek(0)
            self.schema_arrow = pa.ipc.open_stream(mapped).schema
        self.num_row_groups = len(self._batches)
        self.group_rows = [batch.num_rows for batch in self._batches]
        # Mapped and not read: no batch is too large.
        self.group_bytes = [0] * self.num_row_groups

    def read_row_group(self, group: int, *, columns: Sequence[str], use_threads: bool) -> pa.Table:
        """Return columns of one record batch, without copying them."""
        del use_threads
        return pa.Table.from_batches([self._batches[group]]).select(list(columns))


@dataclass(frozen=True, eq=False)
class ParquetRows:
    """An opened file, and the row group of each of its rows."""

    file: TableFile
    starts: tuple[int, ...]
    """First row of each row group, and one more entry: the number of rows."""

    def group_of(self, row: int) -> int:
        """Return the row group that holds a row."""
        return bisect_right(self.starts, row) - 1


class KeptColumns:
    """The column chunks that were read last, of all files; the least recently read chunk is dropped first."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Begin empty.

        Args:
            max_bytes: largest total size of the chunks; a single chunk is kept even if it is larger.
        """
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._chunks: OrderedDict[tuple[ParquetRows, int, str], pa.ChunkedArray] = OrderedDict()

    def chunk(self, rows: ParquetRows, group: int, column: str) -> pa.ChunkedArray:
        """Return one column of one row group."""
        key = (rows, group, column)
        if key not in self._chunks:
            chunk = rows.file.read_row_group(group, columns=[column], use_threads=False).column(column)
            self._chunks[key] = chunk
            self.num_bytes += chunk.nbytes
        self._chunks.move_to_end(key)
        # The newest chunk always stays, because its cells are about to be read.
        while self.num_bytes > self.max_bytes and len(self._chunks) > 1:
            self.num_bytes -= self._chunks.popitem(last=False)[1].nbytes
        return self._chunks[key]


@lru_cache(maxsize=8)
def _open(path: Path, changed_ns: int, num_bytes: int) -> ParquetRows:
    # Only a part of the cache's key, so that a file that was written again counts as another file.
    del changed_ns, num_bytes
    file = ArrowTable(path) if path.suffix == ".arrow" else ParquetTable(path)
    return ParquetRows(file, tuple(accumulate(file.group_rows, initial=0)))


_kept = KeptColumns()
# A parquet file cannot be read by two threads at once.
_lock = Lock()


def parquet_rows(path: Path) -> ParquetRows:
    """Open a file, or return the open file if it has not been written since."""
    status = path.stat()
    return _open(path, status.st_mtime_ns, status.st_size)


def column_cell(path: Path, row: int, column: str) -> pa.Scalar:
    """Return one cell of a file.

    Args:
        path: a parquet or arrow file.
        row: position in the whole file.
        column: name of a column; for a dotted name its first part, unless a column has the whole name.
    """
    # The lock also keeps another thread from dropping the chunk between reading and indexing.
    with _lock:
        rows = parquet_rows(path)
        group = rows.group_of(row)
        if column not in rows.file.schema_arrow.names:
            column = column.partition(".")[0]
        return _kept.chunk(rows, group, column)[row - rows.starts[group]]
