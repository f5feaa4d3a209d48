"""Single cells of parquet columns that hold images, read on demand.

Parquet can only be read by whole row groups, so the row groups read last are kept, as encoded bytes and never as
pixels, up to a limit of memory. A file written with small row groups (``row_group_size=100``, as Hugging Face datasets
writes images) is read quickly in any order; one huge row group is kept whole, because it cannot be read in parts.
"""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

MAX_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class ParquetRows:
    """An opened parquet file, and in which row group each of its rows lies."""

    file: pq.ParquetFile
    starts: tuple[int, ...]
    """First row of each row group, and one more entry: the number of rows."""

    def group_of(self, row: int) -> int:
        """Return the row group that holds a row."""
        return bisect_right(self.starts, row) - 1


class KeptColumns:
    """The column chunks read last, of all files; the one read longest ago is dropped first."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Begin empty.

        Args:
            max_bytes: total size of the chunks; a single larger chunk is kept all the same.
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
        # The newest chunk stays, whatever its size: its cells are about to be read.
        while self.num_bytes > self.max_bytes and len(self._chunks) > 1:
            self.num_bytes -= self._chunks.popitem(last=False)[1].nbytes
        return self._chunks[key]


@lru_cache(maxsize=8)
def _open(path: Path, changed_ns: int, num_bytes: int) -> ParquetRows:
    # Part of the cache's key only: a file that is written anew is another file.
    del changed_ns, num_bytes
    file = pq.ParquetFile(path)
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    return ParquetRows(file, tuple(accumulate(sizes, initial=0)))


_kept = KeptColumns()
# A parquet file cannot be read by two threads at once.
_lock = Lock()


def parquet_rows(path: Path) -> ParquetRows:
    """Open a parquet file, or return it if it is open and has not been written since."""
    status = path.stat()
    return _open(path, status.st_mtime_ns, status.st_size)


def column_cell(path: Path, row: int, column: str) -> pa.Scalar:
    """Return one cell of a parquet file.

    Args:
        path: the parquet file.
        row: position in the whole file.
        column: name of a column of the top level.
    """
    # The lock also keeps another thread from dropping the chunk between reading and indexing.
    with _lock:
        rows = parquet_rows(path)
        group = rows.group_of(row)
        return _kept.chunk(rows, group, column)[row - rows.starts[group]]
