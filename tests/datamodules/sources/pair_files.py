"""Files of pairs that are written by hand, and what is read from them."""

import json
from pathlib import Path
from typing import Any

from datamodules import PairSource
from datamodules.rows.pair_rows import PairRows
from tests.datamodules.rows.test_images import encoded, noise

MAX_PIXELS = 50_000_000


def row(question: str, **further: Any) -> dict[str, Any]:
    return {"question": question, "chosen": "yes", "rejected": "no", **further}


def write_rows(file: Path, *rows: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(json.dumps(row) for row in rows))


def write_image(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded(noise(0)))


def read(source: PairSource, split: str = "train") -> PairRows:
    rows = source.read(split, max_image_pixels=MAX_PIXELS)
    assert rows is not None
    return rows


def questions(source: PairSource, split: str = "train") -> list[str]:
    return [pair.prompt.question for pair in read(source, split).pairs]
