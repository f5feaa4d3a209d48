import gzip
from pathlib import Path

import numpy as np
import pytest

from algorithms import DataError
from datamodules.photographs.idx_files import idx_file, read_idx
from tests.datamodules.photographs.made import idx

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("name", ["x", "x.gz"])
def test_a_file_is_read_packed_or_plain_whatever_its_name_says(tmp_path: Path, is_packed: bool, name: str) -> None:
    content = idx(ARRAY)
    (tmp_path / name).write_bytes(gzip.compress(content) if is_packed else content)
    file = idx_file(tmp_path, "x")
    assert file is not None
    assert np.array_equal(read_idx(file), ARRAY)


PACKED = gzip.compress(idx(ARRAY), mtime=0)  # else the time is in it


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "starts with nothing"),
        (b"\x89PNG and so on", "no idx file of bytes"),
        (b"\x00\x00\x0d\x01" + b"\x00\x00\x00\x01" + b"\x00", "no idx file of bytes"),  # 32-bit floats
        (b"\x00\x00\x08\x03\x00\x00", "ends within its header"),
        (idx(ARRAY)[:-1], r"should hold \(2, 3, 4\) bytes behind its header, and has 23"),
        (PACKED[:-12], "cannot be read"),
        (PACKED[:10], "cannot be read"),
        (PACKED[:10] + b"\xff" * 12 + PACKED[22:], "cannot be read"),
        (PACKED[:-6] + b"\x00" * 6, "cannot be read"),  # another checksum
    ],
)
def test_another_file_is_refused_with_what_is_wrong_with_it(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_idx(tmp_path / "x")


def test_the_plain_file_is_taken_where_both_are_there_and_none_where_neither_is(tmp_path: Path) -> None:
    assert idx_file(tmp_path, "x") is None
    for name in ("x.gz", "x"):
        (tmp_path / name).write_bytes(b"")
        assert idx_file(tmp_path, "x") == tmp_path / name
