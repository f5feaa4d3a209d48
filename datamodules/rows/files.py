"""Rows as they stand in a file, before their cells are given a meaning.

Rows are numbered from 0 and read one by one, so that the images of a parquet row group are checked while that row
group is in memory. A row that cannot be read becomes an ``UnreadableRow``. In a parquet file:

- cells of ``image`` and ``images`` become lists of paths and ``EmbeddedImage``; their bytes stay in the file;
- other columns that hold bytes are left out, since they would keep a whole data set of pictures in memory.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as types

from algorithms.errors import DataError
from datamodules.rows.images import EmbeddedImage
from datamodules.rows.parquet import MAX_KEPT_BYTES, ParquetRows, column_cell, parquet_rows

logger = logging.getLogger(__name__)

IMAGE_COLUMNS = ("image", "images")
TEXT_COLUMNS = ("question", "answer", "facts", "id")
BYTE_TYPES = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row without cells, and what is wrong with it."""

    reason: str
    detail: str


Cells = dict[str, Any]


def read_rows(path: Path) -> Iterator[Cells | UnreadableRow]:
    """Read the rows of a ``.jsonl`` or ``.parquet`` file in file order; DataError when it is no such file."""
    return _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path)


def _json_rows(path: Path) -> Iterator[Cells | UnreadableRow]:
    with path.open("rb") as lines:
        for line_number, line in enumerate(lines, start=1):
            # Without the byte order mark that some editors write at the start of a file.
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if text:
                yield _json_row(text, line_number)


def _json_row(text: bytes, line_number: int) -> Cells | UnreadableRow:
    try:
        row = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return UnreadableRow("not JSON", f"line {line_number}: {error}")
    if not isinstance(row, dict):
        return UnreadableRow("wrong type", f"line {line_number}: a row is an object, not {row!r:.80}")
    return row


def _parquet_rows(path: Path) -> Iterator[Cells]:
    try:
        rows = parquet_rows(path)
        names = _columns_to_read(path, rows.file.schema_arrow)
        _warn_of_large_groups(path, rows)
        for group in range(rows.file.num_row_groups):
            yield from _row_group(path, rows, group, names)
    except (pa.ArrowException, OSError, ValueError) as error:
        # Arrow's messages may have further lines, and an error is one sentence.
        cause = str(error).partition("\n")[0]
        raise DataError(
            f"{path} cannot be read as parquet: {cause}; write it again, with row_group_size=100."
        ) from error


def _row_group(path: Path, rows: ParquetRows, group: int, names: list[str]) -> Iterator[Cells]:
    first, end = rows.starts[group : group + 2]
    read = [name for name in names if name not in IMAGE_COLUMNS]
    # Image columns are read cell by cell: to_pylist would copy the bytes of a whole row group.
    cells = rows.file.read_row_group(group, columns=read, use_threads=False).to_pylist() if read else []
    for row in range(first, end):
        cells_of_row = dict(cells[row - first]) if cells else {}
        for name in names:
            if name in IMAGE_COLUMNS:
                cells_of_row[name] = _image_cell(path, row, name)
        yield cells_of_row


def _image_cell(path: Path, row: int, column: str) -> Any:
    scalar = column_cell(path, row, column)
    if not scalar.is_valid:
        return None
    images = scalar.values if isinstance(scalar, pa.ListScalar) else [scalar]
    return [_image(image, EmbeddedImage(path, row, column, position)) for position, image in enumerate(images)]


def _image(scalar: pa.Scalar, embedded: EmbeddedImage) -> Any:
    """Return the embedded image, or a path when there are no bytes, without copying the bytes."""
    if isinstance(scalar, pa.StructScalar) and "bytes" in scalar:
        if scalar.is_valid and scalar["bytes"].is_valid:
            return embedded
        # Hugging Face datasets writes {bytes: null, path} for an image that stays in its file.
        return scalar["path"].as_py() if scalar.is_valid and "path" in scalar else None
    if _holds_bytes(scalar.type):
        return embedded if scalar.is_valid else None
    return scalar.as_py()


def _columns_to_read(path: Path, schema: pa.Schema) -> list[str]:
    known = IMAGE_COLUMNS + TEXT_COLUMNS
    # A known text column with bytes is read, so that its rows are rejected with a reason.
    left_out = [field.name for field in schema if field.name not in known and _holds_bytes(field.type)]
    if left_out:
        logger.warning("%s: columns that hold bytes are not read: %s", path, ", ".join(left_out))
    return [name for name in schema.names if name not in left_out]


def _holds_bytes(data_type: pa.DataType) -> bool:
    if any(is_type(data_type) for is_type in BYTE_TYPES):
        return True
    # Lists, structs and maps hold bytes when one of their fields does.
    return any(_holds_bytes(data_type.field(child).type) for child in range(data_type.num_fields))


def _warn_of_large_groups(path: Path, rows: ParquetRows) -> None:
    groups = range(rows.file.num_row_groups)
    largest = max((rows.file.metadata.row_group(group).total_byte_size for group in groups), default=0)
    if largest > MAX_KEPT_BYTES:
        logger.warning(
            "%s: images are read slowly, by row groups of %d MB: write the file again, with row_group_size=100",
            path,
            largest // 2**20,
        )
