"""What the user is told about the rows that were left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from datamodules.rows.rejections import Rejection, summary, write_report

REJECTIONS = [
    Rejection(3, "train-3", "empty question", "question is ''"),
    Rejection(5, "train-5", "missing image", "images/5.png"),
    Rejection(9, "train-9", "missing image", "images/9.png"),
]


def test_the_summary_counts_the_most_frequent_reason_first() -> None:
    assert summary(REJECTIONS, num_rows=120) == "rejected 3 of 120 rows: 2 missing image, 1 empty question"
    assert summary([], num_rows=120) == "rejected 0 of 120 rows"


def test_the_report_counts_and_lists_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rejected_train.json"
    for _ in range(2):  # a second report replaces the first
        write_report(path, REJECTIONS, num_rows=120)
    report = json.loads(path.read_text())
    assert (report["num_rows"], report["num_kept"]) == (120, 117)
    assert report["by_reason"] == {"missing image": 2, "empty question": 1}
    assert report["rejected"][0] == {
        "row": 3,
        "key": "train-3",
        "reason": "empty question",
        "detail": "question is ''",
    }
    assert [file.name for file in path.parent.iterdir()] == ["rejected_train.json"]


def test_a_report_that_fails_half_way_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rejected_train.json"
    write_report(path, REJECTIONS, num_rows=120)
    before = path.read_text()

    def full_disk(file: Path, text: str, **_: Any) -> None:
        file.write_bytes(text[:10].encode())
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_report(path, [], num_rows=1)
    assert path.read_text() == before
