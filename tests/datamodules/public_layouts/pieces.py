"""What the layouts are made of: small pictures, Hugging Face image cells, and files."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Row = dict[str, Any]
# As ``datasets.Image`` is stored.
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(seed: int, size: int = 28) -> Image.Image:
    """A picture whose first pixel tells its seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    pixels[0, 0] = seed
    return Image.fromarray(pixels)


def seed_of(image: Image.Image) -> int:
    """The seed of a picture."""
    return int(np.asarray(image)[0, 0, 0])


def png(seed: int) -> bytes:
    """A picture as the bytes of a file."""
    stream = io.BytesIO()
    picture(seed).save(stream, "PNG")
    return stream.getvalue()


def embedded(seed: int) -> Row:
    """A picture as a Hugging Face cell."""
    return {"bytes": png(seed), "path": f"{seed}.png"}


def save(seed: int, file: Path) -> None:
    """A picture as a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # As PNG whatever the name says: a JPEG would change the pixel that tells the seed.
    picture(seed).save(file, "PNG")


def parquet(file: Path, rows: Sequence[Row], **types: pa.DataType) -> None:
    """Rows as a parquet file; columns whose type their cells do not tell are named."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: pa.array([row[name] for row in rows], type=types.get(name)) for name in rows[0]}
    pq.write_table(pa.table(columns), file, row_group_size=2)


def json_lines(file: Path, rows: Sequence[Row]) -> None:
    """Rows as JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def json_array(file: Path, content: Any) -> None:
    """Rows, or an object that holds them, as one JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
