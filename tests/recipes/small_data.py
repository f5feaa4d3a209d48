"""Small data in the layouts that the recipes read: prompts, demonstrations, and pairs as MMPR has them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tests.datamodules.public_layouts import write_geometry3k

COLORS = ("red", "green", "blue", "white")


def prompts(folder: Path, num_rows: int = 16) -> Path:
    """Write questions about pictures whose answer is 0 or 1."""
    rows = [{**_asked(folder, i), "answer": str(i % 2)} for i in range(num_rows)]
    _write(folder / "train.jsonl", rows)
    _write(folder / "val.jsonl", rows[:4])
    return folder


def geometry3k(folder: Path, num_rows: int = 16) -> Path:
    """Write synthetic rows in the layout of Geometry3K, with the answers 0 and 1."""
    write_geometry3k(folder, num_rows, 4, answers=("0", "1"))
    return folder


def demonstrations(folder: Path, num_rows: int) -> Path:
    """Write such questions, each with a completion to imitate."""
    rows = [
        {**_asked(folder, i), "completion": f"I look.</think>It is {_color(i)}. \\boxed{{{i % 2}}}"}
        for i in range(num_rows)
    ]
    _write(folder / "train.jsonl", rows)
    _write(folder / "val.jsonl", rows[:2])
    return folder


def mmpr(folder: Path, num_rows: int = 24) -> Path:
    """Write pairs; return their meta.json."""
    rows = [
        {
            **_asked(folder, i),
            "chosen": f"It is {_color(i)}. \\boxed{{{i % 2}}}",
            "rejected": "I do not see. \\boxed{7}",
        }
        for i in range(num_rows)
    ]
    _write(folder / "annotations.jsonl", rows)
    meta = folder / "meta.json"
    meta.write_text(json.dumps({"colors": {"root": ".", "annotation": "annotations.jsonl", "repeat_time": 1}}))
    return meta


def _color(i: int) -> str:
    return COLORS[i % len(COLORS)]


def _asked(folder: Path, i: int) -> dict[str, Any]:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    name = f"images/{i}.png"
    Image.new("RGB", (48, 48), _color(i)).save(folder / name)
    return {"question": f"<image>\nPicture {i}: is it {_color(i + i % 2)}?", "image": name}


def _write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
