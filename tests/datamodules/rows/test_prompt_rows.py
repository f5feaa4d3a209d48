"""How rows become prompts, and what each bad row costs: itself."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from algorithms.errors import DataError
from algorithms.records import Prompt
from datamodules.rows.images import EmbeddedImage, ImageFile
from datamodules.rows.prompt_rows import PromptRows, read_prompts
from tests.datamodules.rows.test_images import png_that_claims


def png(seed: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    (data / "images" / "0.png").write_bytes(png(0))
    (data / "images" / "1.png").write_bytes(png(1))
    (data / "images" / "truncated.png").write_bytes(png(0)[:200])
    (data / "images" / "bomb.png").write_bytes(png_that_claims(100_000, 100_000))
    (tmp_path / "outside.png").write_bytes(png(2))
    (data / "images" / "link_out.png").symlink_to(tmp_path / "outside.png")
    (data / "images" / "link_in.png").symlink_to(data / "images" / "1.png")
    (data / "linked_folder").symlink_to(tmp_path)
    return data


def read(folder: Path, name: str = "train.jsonl", max_image_pixels: int = 50_000_000) -> PromptRows:
    return read_prompts(folder / name, folder, max_image_pixels=max_image_pixels)


def read_json(folder: Path, *rows: Any) -> PromptRows:
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return read(folder)


def read_table(folder: Path, columns: dict[str, Any], row_group_size: int = 2) -> PromptRows:
    pq.write_table(pa.table(columns), folder / "train.parquet", row_group_size=row_group_size)
    return read(folder, "train.parquet")


def loaded(prompt: Prompt) -> list[bytes]:
    return [image.load().tobytes() for image in prompt.images]


def rgb(seed: int) -> bytes:
    return Image.open(io.BytesIO(png(seed))).convert("RGB").tobytes()


def test_a_full_row_becomes_a_prompt(folder: Path) -> None:
    row = {
        "id": "first",
        "question": "How many red ? <image>",
        "image": "images/0.png",
        "answer": "3",
        "facts": ["red-circle", "red-circle"],
        "difficulty": 0.5,
    }
    (prompt,) = read_json(folder, row).prompts
    assert prompt == Prompt(
        uid=0,
        key="first",
        question="How many red ? <image>",
        images=(ImageFile(folder / "images" / "0.png"),),
        answer="3",
        facts=("red-circle", "red-circle"),
        columns={"difficulty": 0.5},
    )
    assert loaded(prompt) == [rgb(0)]


def test_a_question_alone_is_enough(folder: Path) -> None:
    (prompt,) = read_json(folder, {"question": "What is 2 + 2?", "image": None, "answer": None, "facts": None}).prompts
    assert prompt == Prompt(uid=0, key="train-0", question="What is 2 + 2?")


def test_several_images_keep_their_order(folder: Path) -> None:
    row = {"question": "<image> or <image>?", "images": ["images/1.png", "images/0.png", "images/1.png"]}
    assert read_json(folder, row).rejections[0].reason == "image marks do not match images"
    row["question"] = "<image>, <image> or <image>?"
    assert loaded(read_json(folder, row).prompts[0]) == [rgb(1), rgb(0), rgb(1)]


def test_image_and_images_both_take_one_or_many(folder: Path) -> None:
    rows = [
        {"question": "?", column: cell}
        for column in ("image", "images")
        for cell in ("images/0.png", ["images/0.png"], ["images/0.png", "images/1.png"], [])
    ]
    assert [len(prompt.images) for prompt in read_json(folder, *rows).prompts] == [1, 1, 2, 0] * 2


def test_questions_without_marks_may_have_any_number_of_images(folder: Path) -> None:
    rows = [{"question": "?", "images": ["images/0.png"] * count} for count in range(4)]
    assert [len(prompt.images) for prompt in read_json(folder, *rows).prompts] == [0, 1, 2, 3]


@pytest.mark.parametrize(("answer", "text"), [("x = 3", "x = 3"), (3, "3"), (2.5, "2.5"), ("", "")])
def test_answers_become_text(folder: Path, answer: Any, text: str) -> None:
    assert read_json(folder, {"question": "?", "answer": answer}).prompts[0].answer == text


def test_an_absolute_path_is_refused_even_inside_the_folder(folder: Path) -> None:
    rows = read_json(folder, {"question": "?", "image": str(folder / "images" / "0.png")})
    assert [bad.reason for bad in rows.rejections] == ["path outside the data folder"]


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (prompt,) = read_json(folder, {"question": "?", "image": "images/link_in.png"}).prompts
    assert loaded(prompt) == [rgb(1)]


def test_the_data_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(folder)
    read_json(folder, {"question": "?", "image": "images/0.png"})
    assert len(read(tmp_path / "elsewhere").prompts) == 1


BAD_ROWS: list[tuple[str, Any]] = [
    ("wrong type", ["question", "?"]),
    ("wrong type", {"question": 7}),
    ("wrong type", {"question": ["?"]}),
    ("wrong type", {"question": "half of a pair: \ud800"}),
    ("wrong type", {"question": "?", "facts": "red"}),
    ("wrong type", {"question": "?", "facts": ["red", 3]}),
    ("wrong type", {"question": "?", "answer": True}),
    ("wrong type", {"question": "?", "answer": float("nan")}),
    ("wrong type", {"question": "?", "answer": ["3"]}),
    ("wrong type", {"question": "?", "id": 1.5}),
    ("wrong type", {"question": "?", "image": 3}),
    ("wrong type", {"question": "?", "images": [["images/0.png"]]}),
    ("wrong type", {"question": "?", "image": {"path": "images/0.png"}}),
    ("wrong type", {"question": "?", "image": "images/0.png", "images": ["images/0.png"]}),
    ("wrong type", {"question": "?", "image": ["images/0.png"], "images": ["images/0.png"]}),
    ("empty question", {"question": ""}),
    ("empty question", {"question": " \n"}),
    ("empty question", {"question": None}),
    ("empty question", {"problem": "?"}),
    ("image marks do not match images", {"question": "<image> ?"}),
    ("image marks do not match images", {"question": "<image> <image> ?", "image": "images/0.png"}),
    ("image marks do not match images", {"question": "<image> ?", "images": ["images/0.png", "images/1.png"]}),
    ("path outside the data folder", {"question": "?", "image": "/etc/passwd"}),
    ("path outside the data folder", {"question": "?", "image": "../outside.png"}),
    ("path outside the data folder", {"question": "?", "image": "images/../images/0.png"}),
    ("path outside the data folder", {"question": "?", "image": "images/link_out.png"}),
    ("path outside the data folder", {"question": "?", "image": "linked_folder/outside.png"}),
    ("missing image", {"question": "?", "image": "images/9.png"}),
    ("missing image", {"question": "?", "image": "images"}),
    ("missing image", {"question": "?", "image": ""}),
    ("missing image", {"question": "?", "image": "zero\0byte"}),
    ("missing image", {"question": "?", "images": ["images/0.png", None]}),
    ("corrupt image", {"question": "?", "image": "images/truncated.png"}),
    ("corrupt image", {"question": "?", "images": ["images/0.png", "images/truncated.png"]}),
    ("oversized image", {"question": "?", "image": "images/bomb.png"}),
]


@pytest.mark.parametrize(("reason", "row"), BAD_ROWS)
def test_a_bad_row_costs_itself_and_says_why(folder: Path, reason: str, row: Any) -> None:
    rows = read_json(folder, {"question": "before"}, row, {"question": "after"})
    assert [(prompt.uid, prompt.question) for prompt in rows.prompts] == [(0, "before"), (2, "after")]
    assert [(bad.row, bad.key, bad.reason) for bad in rows.rejections] == [(1, "train-1", reason)]
    assert rows.rejections[0].detail
    assert rows.num_rows == 3


@pytest.mark.parametrize("line", [b"{question: 1}", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"question": "?"} extra'])
def test_a_line_that_is_not_json_is_named_by_its_number(folder: Path, line: bytes) -> None:
    (folder / "train.jsonl").write_bytes(b'{"question": "before"}\n\n' + line + b'\n{"question": "after"}\n')
    rows = read(folder)
    assert [(prompt.uid, prompt.question) for prompt in rows.prompts] == [(0, "before"), (2, "after")]
    assert [(bad.row, bad.key, bad.reason) for bad in rows.rejections] == [(1, "train-1", "not JSON")]
    assert rows.rejections[0].detail.startswith("line 3:")


def test_a_rejected_row_keeps_its_own_name(folder: Path) -> None:
    assert read_json(folder, {"id": 17, "question": ""}).rejections[0].key == "17"


def test_a_missing_question_is_explained_with_the_columns_there_are(folder: Path) -> None:
    assert "problem, images" in read_json(folder, {"problem": "?", "images": []}).rejections[0].detail


def test_blank_lines_are_no_rows(folder: Path) -> None:
    (folder / "train.jsonl").write_text('\n{"question": "a"}\n  \n\n{"question": "b"}\r\n\n')
    rows = read(folder)
    assert [prompt.uid for prompt in rows.prompts] == [0, 1]
    assert rows.num_rows == 2


def test_a_byte_order_mark_is_no_part_of_the_first_row(folder: Path) -> None:
    (folder / "train.jsonl").write_text('{"question": "é"}', encoding="utf-8-sig")
    assert read(folder).prompts[0].question == "é"


def test_repairing_a_row_renumbers_no_other(folder: Path) -> None:
    broken = read_json(folder, {"question": "a"}, {"question": ""}, {"question": "c"})
    repaired = read_json(folder, {"question": "a"}, {"question": "b"}, {"question": "c"})
    uids = {prompt.question: prompt.uid for prompt in repaired.prompts}
    assert all(uids[prompt.question] == prompt.uid for prompt in broken.prompts)
    assert uids == {"a": 0, "b": 1, "c": 2}


def test_the_limit_of_pixels_is_the_one_given(folder: Path) -> None:
    read_json(folder, {"question": "?", "image": "images/0.png"})
    assert len(read(folder, max_image_pixels=256).prompts) == 1
    assert read(folder, max_image_pixels=255).rejections[0].reason == "oversized image"


def test_a_bomb_is_reported_without_a_warning_of_its_own(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    (folder / "images" / "large.png").write_bytes(png_that_claims(12_000, 12_000))
    assert read_json(folder, {"question": "?", "image": "images/large.png"}).rejections[0].reason == "oversized image"
    assert not recwarn.list


@pytest.mark.parametrize("row_group_size", [1, 2, 10])
def test_parquet_rows_with_embedded_images_stay_in_the_file(folder: Path, row_group_size: int) -> None:
    columns = {
        "question": ["a", "b", "c"],
        "image": [{"bytes": png(seed), "path": f"{seed}.png"} for seed in range(3)],
        "answer": [1, 2, None],
        "facts": [["red"], [], None],
        "level": ["easy", None, "hard"],
    }
    rows = read_table(folder, columns, row_group_size)
    assert [loaded(prompt) for prompt in rows.prompts] == [[rgb(0)], [rgb(1)], [rgb(2)]]
    assert rows.prompts[1] == Prompt(
        uid=1,
        key="train-1",
        question="b",
        images=(EmbeddedImage(folder / "train.parquet", 1, "image", 0),),
        answer="2",
        facts=(),
        columns={"level": None},
    )


IMAGE_CELLS: list[Any] = [
    ["images/0.png", "images/1.png"],
    [["images/0.png"], ["images/1.png"]],
    [png(0), png(1)],
    [[png(0)], [png(1)]],
    [{"bytes": png(0), "path": None}, {"bytes": png(1), "path": "not/there.png"}],
    [[{"bytes": png(0), "path": None}], [{"bytes": png(1), "path": None}]],
    [{"bytes": None, "path": "images/0.png"}, {"bytes": png(1), "path": None}],
]


@pytest.mark.parametrize("column", ["image", "images"])
@pytest.mark.parametrize("cells", IMAGE_CELLS, ids=range(len(IMAGE_CELLS)))
def test_parquet_cells_hold_images_in_every_common_form(folder: Path, column: str, cells: list[Any]) -> None:
    rows = read_table(folder, {"question": ["a", "b"], column: cells})
    assert [loaded(prompt) for prompt in rows.prompts] == [[rgb(0)], [rgb(1)]]


def test_several_embedded_images_keep_their_order(folder: Path) -> None:
    cells = [[{"bytes": png(seed), "path": None} for seed in (1, 0)], [], None]
    rows = read_table(folder, {"question": ["<image> <image>", "b", "c"], "images": cells})
    assert [loaded(prompt) for prompt in rows.prompts] == [[rgb(1), rgb(0)], [], []]


def test_bad_parquet_rows_cost_themselves(folder: Path) -> None:
    good = {"bytes": png(0), "path": None}
    truncated = {"bytes": png(0)[:200], "path": None}
    bomb = {"bytes": png_that_claims(100_000, 100_000), "path": None}
    empty = {"bytes": None, "path": None}
    outside = {"bytes": None, "path": "../outside.png"}
    cells = [[good], [good, truncated], [bomb], [empty], [None], [outside], [good]]
    rows = read_table(folder, {"question": ["?"] * 6 + [""], "images": cells})
    assert [prompt.uid for prompt in rows.prompts] == [0]
    assert [(bad.row, bad.reason) for bad in rows.rejections] == [
        (1, "corrupt image"),
        (2, "oversized image"),
        (3, "missing image"),
        (4, "missing image"),
        (5, "path outside the data folder"),
        (6, "empty question"),
    ]
    assert rows.rejections[0].detail == "column images, image 2"


def test_a_column_of_numbers_is_no_question(folder: Path) -> None:
    rows = read_table(folder, {"question": [1, 2], "image": [3, None]})
    assert [bad.reason for bad in rows.rejections] == ["wrong type", "wrong type"]


def test_further_columns_of_bytes_are_left_out_with_a_word(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    columns = {"question": ["a"], "image": [png()], "sound": [b"RIFF"], "thumbnail": [png()], "level": [3]}
    assert read_table(folder, columns).prompts[0].columns == {"level": 3}
    assert "sound, thumbnail" in caplog.text
    assert "columns that hold images are not read: thumbnail" in caplog.text


def test_images_that_no_key_reads_are_refused_when_no_row_has_another(folder: Path) -> None:
    columns = {"question": ["a"], "decoded_image": [{"bytes": png(), "path": None}], "level": [3]}
    with pytest.raises(DataError, match=r"images are in the column decoded_image.*question, level.*columns\.images"):
        read_table(folder, columns)


def test_a_parquet_file_without_questions_loses_every_row(folder: Path) -> None:
    rows = read_table(folder, {"image": [png(), png(1)]})
    assert [bad.reason for bad in rows.rejections] == ["empty question"] * 2


def test_a_file_that_is_no_parquet_is_named(folder: Path) -> None:
    (folder / "train.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"train\.parquet cannot be read as parquet"):
        read(folder, "train.parquet")
