"""Reads the rows of a file, before their cells get a meaning.

    .jsonl                one object a line, also in files of any other name
    .json                 a list of objects, or objects that hold the list under a key (``columns.records``)
    .parquet, .arrow      tables; ``.arrow`` is what ``datasets.save_to_disk`` writes

Rows are numbered from 0 and read one by one, so that the images of a row group are checked while the row group is in
memory. A row that cannot be read becomes an ``UnreadableRow``. In a table:

- cells of image columns become lists of paths and ``EmbeddedImage``; their bytes stay in the file;
- other columns that hold bytes are left out, since they would keep a whole data set of pictures in memory.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as types

from algorithms.errors import DataError
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.lookup import cell_at, matching
from datamodules.rows.images import EmbeddedImage, is_image, nested_names
from datamodules.rows.parquet import MAX_KEPT_BYTES, ParquetRows, column_cell, parquet_rows

logger = logging.getLogger(__name__)

TABLE_SUFFIXES = (".parquet", ".arrow")
BYTE_TYPES = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
_NO_MAP = ColumnMap()
# Number of first rows in which the first image of a column is looked for.
_ROWS_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row whose cells cannot be read, and why."""

    reason: str
    detail: str


Cells = dict[str, Any]


def read_rows(path: Path, columns: ColumnMap = _NO_MAP) -> Iterator[Cells | UnreadableRow]:
    """Read the rows of a file in their order.

    Args:
        path: a file of one of the forms above.
        columns: column map, which names the image columns of a table and the key of the rows in a JSON file.

    Raises:
        DataError: The file as a whole cannot be read.
    """
    if path.suffix in TABLE_SUFFIXES:
        return _table_rows(path, columns)
    if path.suffix == ".json" and (columns.records is not None or _begins_with(path, b"[")):
        return iter(json_list(path, columns.records))
    return _json_rows(path)


def json_list(path: Path, records: str | None) -> list[Cells | UnreadableRow]:
    """Return the rows of a JSON file that is read as a whole.

    Args:
        path: the file.
        records: key of the list inside of the file; None: the file is the list.

    Raises:
        DataError: The file is no JSON, or it has no such list.
    """
    try:
        # "-sig": without the byte order mark that some editors write.
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}; write or download it again.") from error
    found = content if records is None else cell_at(content, records) if isinstance(content, dict) else None
    if not isinstance(found, list):
        keys = f"an object with the keys {', '.join(content)}" if isinstance(content, dict) else f"{content!r:.60}"
        raise DataError(f"{path} has no list of rows at columns.records={records!r}: it holds {keys}.")
    return [
        row
        if isinstance(row, dict)
        else UnreadableRow("wrong type", f"row {number}: a row is an object, not {row!r:.80}")
        for number, row in enumerate(found)
    ]


def _begins_with(path: Path, character: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(character)


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


def _table_rows(path: Path, columns: ColumnMap) -> Iterator[Cells]:
    kind = path.suffix.removeprefix(".")
    try:
        rows = parquet_rows(path)
        names, images = _columns_to_read(path, rows.file.schema_arrow, columns)
        _warn_of_large_groups(path, rows)
        for group in range(rows.file.num_row_groups):
            yield from _row_group(path, rows, group, names, images)
    except DataError:
        raise
    # A file with damaged bytes makes Arrow raise errors of any class.
    except Exception as error:
        # Only the first line of Arrow's message, because an error of this project is one sentence.
        cause = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path} cannot be read as {kind}: {cause}; download it or write it again, with row_group_size=100."
        ) from error


def _row_group(path: Path, rows: ParquetRows, group: int, names: list[str], images: list[str]) -> Iterator[Cells]:
    first, end = rows.starts[group : group + 2]
    read = [name for name in names if name not in images]
    # Image columns are read cell by cell: to_pylist would copy the bytes of a whole row group.
    cells = rows.file.read_row_group(group, columns=read, use_threads=False).to_pylist() if read else []
    for row in range(first, end):
        cells_of_row = dict(cells[row - first]) if cells else {}
        for name in names:
            if name in images:
                cells_of_row[name] = _image_cell(path, row, name)
        yield cells_of_row


def _image_cell(path: Path, row: int, column: str) -> Any:
    scalar = column_cell(path, row, column)
    for name in nested_names(column, scalar):
        scalar = scalar[name]
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
    if holds_bytes(scalar.type):
        return embedded if scalar.is_valid else None
    return scalar.as_py()


def _columns_to_read(path: Path, schema: pa.Schema, columns: ColumnMap) -> tuple[list[str], list[str]]:
    """Return the columns to read, and those among them that hold images."""
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise DataError(
            f"{path} has more than one column {', '.join(twice)}, so that one of them would be lost; columns found: "
            f"{', '.join(schema.names)}. Write the file again with other names."
        )
    images = matching(schema.names, columns.image_names)
    # A text column that holds bytes is still read, so that its rows are rejected with a reason.
    known = {*images, *columns.top_names}
    left_out = [field.name for field in schema if field.name not in known and holds_bytes(field.type)]
    unwanted = [name for name in left_out if name not in columns.unused]
    if unwanted:
        logger.warning(
            "%s: columns that hold bytes are not read: %s (columns found: %s); name images in columns.images, the rest "
            "in columns.unused",
            path,
            ", ".join(unwanted),
            ", ".join(schema.names),
        )
    read = [name for name in schema.names if name not in left_out]
    return [*read, *(name for name in images if name not in read)], images


def unread_images(path: Path, columns: ColumnMap) -> list[str]:
    """Return the columns of a table whose first value is an image and that no key names."""
    if path.suffix not in TABLE_SUFFIXES:
        return []
    rows = parquet_rows(path)
    known = {*matching(rows.file.schema_arrow.names, columns.image_names), *columns.top_names, *columns.unused}
    fields = [field for field in rows.file.schema_arrow if field.name not in known and holds_bytes(field.type)]
    return [field.name for field in fields if _begins_with_image(path, rows, field.name)]


def _begins_with_image(path: Path, rows: ParquetRows, column: str) -> bool:
    for row in range(min(_ROWS_LOOKED_AT, rows.starts[-1])):
        scalar = column_cell(path, row, column)
        images = scalar.values or [] if isinstance(scalar, pa.ListScalar) else [scalar]
        for image in images:
            cell = image["bytes"] if isinstance(image, pa.StructScalar) and "bytes" in image else image
            if cell.is_valid and holds_bytes(cell.type) and not isinstance(cell, pa.StructScalar):
                return is_image(cell.as_py())
    return False


def holds_bytes(data_type: pa.DataType) -> bool:
    """Return whether cells of a type hold bytes: lists, structs and maps do when one of their fields does."""
    if any(is_type(data_type) for is_type in BYTE_TYPES):
        return True
    return any(holds_bytes(data_type.field(child).type) for child in range(data_type.num_fields))


def _warn_of_large_groups(path: Path, rows: ParquetRows) -> None:
    largest = max(rows.file.group_bytes, default=0)
    if largest > MAX_KEPT_BYTES:
        logger.warning(
            "%s: images are read slowly, by row groups of %d MB: write the file again, with row_group_size=100",
            path,
            largest // 2**20,
        )
