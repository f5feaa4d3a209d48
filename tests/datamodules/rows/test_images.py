"""What a reference loads, and which images the check turns away."""

import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import EpsImagePlugin, Image

from datamodules.rows.image_checks import check_image
from datamodules.rows.images import EmbeddedImage, ImageFile
from datamodules.rows.parquet import KeptColumns, parquet_rows

MAX_PIXELS = 50_000_000


def noise(seed: int, width: int = 20, height: int = 10) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write(folder: Path, content: bytes, name: str = "image.png") -> ImageFile:
    (folder / name).write_bytes(content)
    return ImageFile(folder / name)


def pixels(image: Image.Image) -> list[list[int]]:
    assert image.mode == "RGB"
    return np.asarray(image).reshape(-1, 3).tolist()


def test_a_file_loads_as_the_pixels_that_were_saved(tmp_path: Path) -> None:
    assert pixels(write(tmp_path, encoded(noise(0))).load()) == pixels(noise(0))


@pytest.mark.parametrize("row_group_size", [1, 2, 5])
def test_embedded_images_load_from_every_kind_of_cell_and_row_group(tmp_path: Path, row_group_size: int) -> None:
    blobs = [encoded(noise(seed)) for seed in range(5)]
    table = pa.table(
        {
            "raw": blobs,
            "struct": [{"bytes": blob, "path": None} for blob in blobs],
            "list": [[{"bytes": blobs[0], "path": "a"}, {"bytes": blob, "path": "b"}] for blob in blobs],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=row_group_size)
    for row in (4, 0, 3, 1, 2):
        for column, position in (("raw", 0), ("struct", 0), ("list", 1)):
            reference = EmbeddedImage(tmp_path / "t.parquet", row, column, position)
            assert pixels(reference.load()) == pixels(noise(row))


def test_a_parquet_file_written_anew_is_read_anew(tmp_path: Path) -> None:
    for seed in (0, 1):
        pq.write_table(pa.table({"image": [encoded(noise(seed, width=20 + seed))]}), tmp_path / "t.parquet")
        assert EmbeddedImage(tmp_path / "t.parquet", 0, "image").load().width == 20 + seed


def test_kept_row_groups_stay_within_the_limit_of_memory(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"image": [bytes([row]) * 1000 for row in range(6)]}), tmp_path / "t.parquet", row_group_size=1
    )
    rows = parquet_rows(tmp_path / "t.parquet")
    kept = KeptColumns(max_bytes=2500)
    for group in (0, 1, 2, 3, 4, 5, 0):
        assert kept.chunk(rows, group, "image")[0].as_py() == bytes([group]) * 1000
        assert kept.num_bytes <= 2500


def test_a_row_group_beyond_the_limit_is_kept_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"x" * 1000] * 2}), tmp_path / "t.parquet", row_group_size=1)
    rows = parquet_rows(tmp_path / "t.parquet")
    kept = KeptColumns(max_bytes=10)
    kept.chunk(rows, 0, "image")
    first = kept.chunk(rows, 1, "image")
    assert kept.chunk(rows, 1, "image") is first
    assert 1000 <= kept.num_bytes < 2000


def test_references_are_values_that_survive_pickling(tmp_path: Path) -> None:
    for reference in (ImageFile(tmp_path / "a.png"), EmbeddedImage(tmp_path / "t.parquet", 3, "images", 1)):
        copy = pickle.loads(pickle.dumps(reference))
        assert copy == reference
        assert len({copy, reference}) == 1


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    reference = write(tmp_path, encoded(noise(0, width=20, height=10), exif=exif))
    assert reference.load().size == (10, 20)
    assert pixels(reference.load()) == pixels(noise(0, width=20, height=10).rotate(-90, expand=True))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    assert pixels(write(tmp_path, encoded(image.convert(mode))).load()) == [[0, 0, 0], [255, 255, 255]]


def test_sixteen_bit_grays_keep_their_brightness(tmp_path: Path) -> None:
    grays = Image.fromarray(np.array([[0, 0x4000, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert pixels(write(tmp_path, encoded(grays)).load()) == [[0] * 3, [64] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_good_image_passes(tmp_path: Path, kind: str) -> None:
    assert check_image(write(tmp_path, encoded(noise(0), kind)), MAX_PIXELS) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_a_truncated_image_is_corrupt(tmp_path: Path, kind: str, share: float) -> None:
    content = encoded(noise(0, width=64, height=64), kind)
    assert check_image(write(tmp_path, content[: int(len(content) * share)]), MAX_PIXELS) == "corrupt image"


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_corrupt(tmp_path: Path, content: bytes) -> None:
    assert check_image(write(tmp_path, content), MAX_PIXELS) == "corrupt image"


def test_an_image_that_is_a_program_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments: runs.append(arguments))
    Image.init()
    assert check_image(write(tmp_path, encoded(noise(0), "EPS")), MAX_PIXELS) == "corrupt image"
    assert not runs


def test_pixels_that_do_not_match_the_header_are_corrupt(tmp_path: Path) -> None:
    assert check_image(write(tmp_path, png_that_claims(500, 500)), MAX_PIXELS) == "corrupt image"


@pytest.mark.parametrize("width", [100_000, 12_000])  # Pillow raises at the first and only warns at the second
def test_a_header_that_claims_a_bomb_is_oversized_without_a_warning(
    tmp_path: Path, width: int, recwarn: pytest.WarningsRecorder
) -> None:
    reference = write(tmp_path, png_that_claims(width, width))
    assert check_image(reference, max_pixels=10**12) == "oversized image"
    assert not recwarn.list


def test_the_limit_of_pixels_is_the_largest_that_passes(tmp_path: Path) -> None:
    reference = write(tmp_path, encoded(noise(0, width=20, height=10)))
    assert check_image(reference, max_pixels=200) is None
    assert check_image(reference, max_pixels=199) == "oversized image"


def test_the_size_is_decided_before_anything_is_decoded(tmp_path: Path) -> None:
    # Its pixels are broken as well: decoding first would have called it corrupt.
    assert check_image(write(tmp_path, png_that_claims(500, 500)), max_pixels=1000) == "oversized image"


def test_whatever_is_no_file_is_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("gone.png", "pipe", "link", "loop", ".", "a" * 300, "zero\0byte"):
        assert check_image(ImageFile(tmp_path / name), MAX_PIXELS) == "missing image", name


def test_an_empty_cell_is_missing_and_a_broken_one_is_corrupt(tmp_path: Path) -> None:
    cells = [{"bytes": None, "path": "x"}, None, {"bytes": b"broken", "path": None}]
    pq.write_table(pa.table({"image": cells}), tmp_path / "t.parquet")
    reasons = [check_image(EmbeddedImage(tmp_path / "t.parquet", row, "image"), MAX_PIXELS) for row in range(3)]
    assert reasons == ["missing image", "missing image", "corrupt image"]
