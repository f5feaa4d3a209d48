"""Adds cells of a second list of rows to the first: annotations of AMBER, file names of COCO."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from algorithms.errors import DataError
from datamodules.rows.cells import BadRow
from datamodules.rows.columns.column_map import JoinedTable
from datamodules.rows.columns.lookup import cell_at
from datamodules.rows.files import Cells, UnreadableRow, json_list, read_rows


class Joined:
    """The second list, indexed by its key column."""

    def __init__(self, table: JoinedTable, path: Path) -> None:
        """Read the list.

        Args:
            table: file of the second list, its key in the file, and columns.
            path: file of the first list.

        Raises:
            DataError: the file or list does not exist, or two of its rows have the same key.
        """
        self.table = table
        self.file = path if table.file is None else path.parent / table.file
        if not self.file.is_file():
            raise DataError(f"columns.join.file={table.file!r} is not there: looked for {self.file}.")
        self._rows: dict[str, Cells] = {}
        for cells in self._read():
            key = cell_at(cells, table.key)
            if key is not None and self._rows.setdefault(str(key), cells) is not cells:
                raise DataError(f"{self.file} has two rows with {table.key}={key!r}, so that joining them is a guess.")
        if not self._rows:
            raise DataError(f"{self.file} has no row with a column {table.key}, by which columns.join adds its cells.")

    def add_to(self, cells: Cells) -> Cells:
        """Return a row with the cells of its partner; when both have a column, the row's own cell stays.

        Raises:
            BadRow: "no row to join".
        """
        key: Any = cell_at(cells, self.table.column)
        partner = self._rows.get(str(key))
        if key is None or partner is None:
            raise BadRow("no row to join", f"{self.table.column} is {key!r:.40}, which {self.file.name} does not have")
        return {**partner, **cells}

    def _read(self) -> Iterator[Cells]:
        rows = read_rows(self.file) if self.table.records is None else json_list(self.file, self.table.records)
        yield from (row for row in rows if not isinstance(row, UnreadableRow))
