import gzip
from pathlib import Path

import numpy as np
import pytest

from algorithms import DataError
from datamodules.photographs.idx_files import read_idx
from tests.datamodules.photographs.made import idx

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("is_packed", [True, False])
def test_a_file_is_read_packed_or_plain(tmp_path: Path, is_packed: bool) -> None:
    content = idx(ARRAY)
    (tmp_path / ("x.gz" if is_packed else "x")).write_bytes(gzip.compress(content) if is_packed else content)
    assert np.array_equal(read_idx(tmp_path, "x"), ARRAY)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "starts with nothing"),
        (b"\x89PNG and so on", "no idx file of bytes"),
        (b"\x00\x00\x0d\x01" + b"\x00\x00\x00\x01" + b"\x00", "no idx file of bytes"),  # 32-bit floats
        (b"\x00\x00\x08\x03\x00\x00", "ends within its header"),
        (idx(ARRAY)[:-1], r"should hold \(2, 3, 4\) bytes behind its header, and has 23"),
    ],
)
def test_another_file_is_refused_with_what_is_wrong_with_it(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_idx(tmp_path, "x")


def test_a_file_that_is_not_there_or_was_cut_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither x nor x\.gz"):
        read_idx(tmp_path, "x")
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(ARRAY))[:-12])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_idx(tmp_path, "x")
