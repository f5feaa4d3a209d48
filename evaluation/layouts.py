"""Writes folders in the layout of public data sets: parquet files, and a README.md whose header lists them by split."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Rows = Sequence[Mapping[str, Any]]


def write_layout(
    folder: Path, files: Mapping[tuple[str, str], tuple[str, Rows]], schema: pa.Schema | None = None
) -> None:
    """Write a data set in the layout of its clone.

    Args:
        folder: the folder of the clone.
        files: for each config name and split, the path of its parquet file, and its rows.
        schema: types of the columns; None: types of the values.
    """
    header: dict[str, list[str]] = {}
    for (config, split), (path, rows) in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), file)
        header.setdefault(config, []).append(f"  - split: {split}\n    path: {path}")
    configs = "\n".join(f"- config_name: {name}\n  data_files:\n" + "\n".join(lines) for name, lines in header.items())
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}\n---\n")


def picture_cell(picture: Image.Image, name: str = "picture.png") -> dict[str, Any]:
    """Return a picture as a cell of a parquet file: encoded bytes and a path."""
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    return {"bytes": encoded.getvalue(), "path": name}
