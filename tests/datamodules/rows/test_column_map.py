"""The column map: what each key reads, and what it refuses."""

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from algorithms import ConfigError, DataError, Prompt
from datamodules.rows.columns.column_map import ColumnMap, JoinedTable
from datamodules.rows.prompt_rows import PromptRows, read_prompts
from tests.datamodules.public_layouts.pieces import embedded, json_array, json_lines, parquet, png, save, seed_of


def read(folder: Path, rows: list[dict[str, Any]], **columns: Any) -> PromptRows:
    json_lines(folder / "rows.jsonl", rows)
    return read_prompts(folder / "rows.jsonl", folder, max_image_pixels=10**6, columns=ColumnMap(**columns))


def only(folder: Path, row: dict[str, Any], **columns: Any) -> Prompt:
    rows = read(folder, [row], **columns)
    assert rows.rejections == ()
    return rows.prompts[0]


def reason(folder: Path, row: dict[str, Any], **columns: Any) -> str:
    (rejection,) = read(folder, [row], **columns).rejections
    return f"{rejection.reason}: {rejection.detail}"


def seeds(prompt: Prompt) -> list[int]:
    return [seed_of(image.load()) for image in prompt.images]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(4):
        save(seed, tmp_path / "pictures" / f"{seed}.png")
    return tmp_path


# --- question and answer ----------------------------------------------------------------------------------


def test_dotted_names_lead_into_objects_lists_and_json_text(folder: Path) -> None:
    row = {"ask": {"text": "Why?"}, "truth": '{"values": ["no", "because"]}', "name.with.dots": "r1"}
    prompt = only(folder, row, question="ask.text", answer="truth.values.1", id="name.with.dots")
    assert (prompt.question, prompt.answer, prompt.key) == ("Why?", "because", "r1")


def test_a_question_with_braces_joins_columns_and_leaves_other_braces_alone(folder: Path) -> None:
    row = {"context": "Let $x_{1}$ be {question}.", "question": "Find \\frac{1}{2}."}
    prompt = only(folder, row, question="{context}\n{question}")
    assert prompt.question == "Let $x_{1}$ be {question}.\nFind \\frac{1}{2}."


def test_a_column_that_is_empty_leaves_no_gap_in_a_joined_question(folder: Path) -> None:
    assert only(folder, {"context": None, "question": "Why?"}, question="{context}\n{question}").question == "Why?"


@pytest.mark.parametrize(
    ("cell", "settings", "answer"),
    [
        ([3, "4"], {}, "3, 4"),
        ("['3', '4']", {}, "3, 4"),
        ("['3', '4']", {"several_answers": "first"}, "3"),
        ([], {}, None),
        (0, {"answer_values": {"0": "no"}}, "no"),
        (True, {"answer_values": {"true": "yes"}}, "yes"),
        ("(0, 1]", {}, "(0, 1]"),
    ],
)
def test_answers_are_read_from_lists_and_other_spellings(folder: Path, cell: Any, settings: Any, answer: Any) -> None:
    assert only(folder, {"question": "?", "truth": cell}, answer="truth", **settings).answer == answer


@pytest.mark.parametrize(
    ("answer", "unit", "gold"),
    [("12", "cm", "12 cm"), ("$-1.5$", "m/s", "$-1.5$ m/s"), ("12", "", "12"), ("x", "m", "x")],
)
def test_a_unit_stands_behind_a_number(folder: Path, answer: str, unit: str, gold: str) -> None:
    assert only(folder, {"question": "?", "answer": answer, "unit": unit}, unit="unit").answer == gold


@pytest.mark.parametrize(
    ("column", "cell", "tolerance"),
    [
        ("tolerance", "1e-2", 0.01),
        ("tolerance", "0.1,0.02", 0.02),
        ("tolerance", "", None),
        ("tolerance", None, None),
        ("decimals", 2.0, 0.005),
        ("decimals", 0, 0.5),
    ],
)
def test_a_tolerance_is_given_or_half_of_the_last_decimal(folder: Path, column: str, cell: Any, tolerance: Any) -> None:
    found = only(folder, {"question": "?", "how_far": cell}, **{column: "how_far"}).tolerance
    assert found == (pytest.approx(tolerance) if tolerance is not None else None)


# --- choices ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        ["3", "4", "5"],
        [3, 4, 5],
        "['3', '4', '5']",
        '["3", "4", "5"]',
        ["A. 3", "B. 4", "C. 5"],
        {"A": "3", "B": "4", "C": "5"},
        {"label": ["A", "B", "C"], "text": ["3", "4", "5"]},
        "(A) 3\n(B) 4\n(C) 5",
    ],
)
def test_choices_are_read_in_every_spelling(folder: Path, cell: Any) -> None:
    prompt = only(folder, {"question": "?", "options": cell, "answer": "B"}, choices="options", answer_form="letter")
    assert (prompt.choices, prompt.answer) == (("3", "4", "5"), "B")


def test_choices_may_have_a_column_each_and_the_last_may_be_empty(folder: Path) -> None:
    row = {"question": "?", "A": "x", "B": "y", "C": None, "answer": "y"}
    prompt = only(folder, row, choices=["A", "B", "C"])
    assert (prompt.choices, prompt.answer) == (("x", "y"), "B")


@pytest.mark.parametrize(
    ("answer", "form", "letter"),
    [
        ("A", "auto", "A"),
        ("(b)", "auto", "B"),
        ("B. y", "auto", "B"),
        ("\\boxed{C}", "auto", "C"),
        ("z", "auto", "C"),
        (0, "index_0", "A"),
        (1, "index_1", "A"),
        ("A, C", "letter", "A, C"),
        ("AC", "auto", "AC"),
    ],
)
def test_an_answer_becomes_the_letter_of_its_choice(folder: Path, answer: Any, form: Any, letter: str) -> None:
    row = {"question": "?", "options": ["x", "y", "z"], "answer": answer}
    assert only(folder, row, choices="options", answer_form=form).answer == letter


@pytest.mark.parametrize(
    ("answer", "options", "form", "found"),
    [
        ("w", ["x", "y"], "auto", "answer is none of the choices"),
        ("C", ["x", "y"], "letter", "answer is none of the choices"),
        (2, ["x", "y"], "index_0", "answer is none of the choices"),
        ("B", ["B", "C"], "auto", "ambiguous answer"),
        ("cab", ["x", "y", "z"], "auto", "answer is none of the choices"),
    ],
)
def test_an_answer_that_names_no_choice_costs_its_row(
    folder: Path, answer: Any, options: list[str], form: Any, found: str
) -> None:
    row = {"question": "?", "options": options, "answer": answer}
    assert reason(folder, row, choices="options", answer_form=form).startswith(found)


# --- images and their marks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "order"),
    [
        ("<image> then <image>", [1, 2]),
        ("<img> then <IMAGE>", [1, 2]),
        ("<image2> then <image1>", [2, 1]),
        ("<image 2> then <image 1>", [2, 1]),
        ("<image_2> then <image_1>", [2, 1]),
        ("<|image_2|> then <|image_1|>", [2, 1]),
        ("<image1> then <image0>", [2, 1]),
        ("<image 1>, <image 2> and <image 1>", [1, 2, 1]),
        ("no mark", [1, 2]),
        ("only <image 2>", [1, 2]),
    ],
)
def test_marks_of_every_convention_name_the_same_images(folder: Path, question: str, order: list[int]) -> None:
    prompt = only(folder, {"question": question, "a": ["pictures/1.png", "pictures/2.png"]}, images="a")
    assert seeds(prompt) == order
    assert prompt.question.count("<image>") in (0, len(order))


def test_marks_in_choices_follow_those_of_the_question(folder: Path) -> None:
    row = {"question": "Like <image 3>?", "options": ["<image 2>", "<image 1>"], "answer": "A"}
    row |= {f"image_{n}": f"pictures/{n}.png" for n in (1, 2, 3)}
    prompt = only(folder, row, images="image_*", choices="options")
    assert (seeds(prompt), prompt.question, prompt.choices) == ([3, 2, 1], "Like <image>?", ("<image>", "<image>"))


def test_numbers_of_columns_are_ordered_as_numbers_and_count_through_gaps(folder: Path) -> None:
    row = {
        "question": "<image 10> <image 2>",
        "image_10": "pictures/1.png",
        "image_2": "pictures/2.png",
        "image_1": None,
    }
    assert seeds(only(folder, row, images="image_*")) == [1, 2]
    assert seeds(only(folder, {**row, "question": "?"}, images="image_*")) == [2, 1]


@pytest.mark.parametrize("question", ["<image 3>", "<image> <image 1>", "<image> <image> <image>"])
def test_a_mark_without_an_image_costs_its_row(folder: Path, question: str) -> None:
    row = {"question": question, "a": ["pictures/1.png", "pictures/2.png"]}
    assert reason(folder, row, images="a").startswith("image marks do not match images")


def test_a_numbered_mark_in_a_row_without_images_costs_the_row_without_any_map(folder: Path) -> None:
    assert reason(folder, {"question": "What is <image 1>?"}).startswith("image marks do not match images")


def test_an_image_that_no_numbered_mark_names_stands_in_front_and_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = only(folder, {"question": "Look at <image1>.", "a": ["pictures/1.png", "pictures/2.png"]}, images="a")
    assert prompt.question == "<image>\nLook at <image>."
    assert seeds(prompt) == [2, 1]
    assert "1 of 1 rows have an image that no mark names" in caplog.text


def test_images_come_from_several_columns_folders_urls_and_texts(folder: Path) -> None:
    save(7, folder / "elsewhere" / "7.png")
    url = f"data:image/png;base64,{base64.b64encode(png(3)).decode()}"
    row = {
        "question": "?",
        "first": "/old/place/1.png",
        "more": f'["./2.png", "{url}"]',
        "raw": base64.b64encode(png(0)).decode(),
    }
    prompt = only(folder, row, images=["first", "more", "raw"], image_folder="pictures", image_prefix="/old/place/")
    assert seeds(prompt) == [1, 2, 3, 0]
    outside = only(folder, {"question": "?", "a": "7.png"}, images="a", image_folder=str(folder / "elsewhere"))
    assert seeds(outside) == [7]


def test_an_image_prefix_does_not_lead_out_of_the_folder(folder: Path) -> None:
    row = {"question": "?", "a": "file:///data/../../etc/passwd"}
    assert reason(folder, row, images="a", image_prefix="file:///data/").startswith("path outside the data folder")


def test_a_web_address_is_refused_with_what_to_do(folder: Path) -> None:
    assert "download the images" in reason(folder, {"question": "?", "a": "https://x.org/1.png"}, images="a")


def test_images_inside_of_a_struct_stay_in_their_file(folder: Path) -> None:
    pq.write_table(
        pa.table({"question": ["?"], "extra": [{"picture": {"bytes": png(2), "path": None}}]}), folder / "t.parquet"
    )
    columns = ColumnMap(images="extra.picture")
    rows = read_prompts(folder / "t.parquet", folder, max_image_pixels=10**6, columns=columns)
    assert [seeds(prompt) for prompt in rows.prompts] == [[2]]


# --- conversations ------------------------------------------------------------------------------------------


def test_a_conversation_gives_question_system_images_and_completion(folder: Path) -> None:
    turns = [
        {"from": "system", "value": "Be short."},
        {"from": "human", "value": "<image>\nWhat?"},
        {"from": "gpt", "value": "A dot."},
    ]
    prompt = only(folder, {"conversations": turns, "image": "pictures/1.png"}, question="conversations", images="image")
    assert (prompt.system, prompt.question, prompt.columns["completion"]) == ("Be short.", "<image>\nWhat?", "A dot.")


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
        [{"role": "user", "content": [{"type": "video", "video": "x.mp4"}]}],
        [{"role": "assistant", "content": "b"}],
    ],
)
def test_a_conversation_of_which_something_would_be_lost_costs_its_row(folder: Path, turns: Any) -> None:
    assert reason(folder, {"prompt": turns}, question="prompt").startswith("unsupported conversation")


# --- files --------------------------------------------------------------------------------------------------


def test_a_json_array_and_a_list_inside_of_an_object_are_read(folder: Path) -> None:
    json_array(folder / "array.json", [{"question": "a"}, ["no row"], {"question": "b"}])
    rows = read_prompts(folder / "array.json", folder, max_image_pixels=1)
    assert [prompt.question for prompt in rows.prompts] == ["a", "b"]
    assert [rejection.row for rejection in rows.rejections] == [1]
    json_array(folder / "nested.json", {"data": {"rows": [{"question": "c"}]}})
    columns = ColumnMap(records="data.rows")
    assert read_prompts(folder / "nested.json", folder, max_image_pixels=1, columns=columns).prompts[0].question == "c"
    with pytest.raises(DataError, match=r"columns.records='rows'.*keys data"):
        read_prompts(folder / "nested.json", folder, max_image_pixels=1, columns=ColumnMap(records="rows"))


def test_joined_rows_get_the_cells_of_their_partner_and_keep_their_own(folder: Path) -> None:
    json_array(folder / "more.json", [{"key": 1, "truth": "yes", "question": "other"}])
    join = JoinedTable(column="id", key="key", file="more.json")
    rows = read(folder, [{"id": 1, "question": "?"}, {"id": 2, "question": "?"}], answer="truth", join=join)
    assert [(prompt.question, prompt.answer) for prompt in rows.prompts] == [("?", "yes")]
    assert [rejection.reason for rejection in rows.rejections] == ["no row to join"]


def test_two_columns_of_one_name_are_refused(folder: Path) -> None:
    twice = pa.Table.from_arrays(
        [pa.array(["?"]), pa.array([png(0)]), pa.array([png(1)])], ["question", "image", "image"]
    )
    pq.write_table(twice, folder / "twice.parquet")
    with pytest.raises(DataError, match=r"more than one column image.*columns found: question, image, image"):
        read_prompts(folder / "twice.parquet", folder, max_image_pixels=10**6)


@pytest.mark.parametrize("damage", ["cut", "zeroed", "empty", "garbled"])
def test_a_damaged_parquet_file_is_named(folder: Path, damage: str) -> None:
    file = folder / "bad.parquet"
    parquet(file, [{"question": f"{n} is here", "image": embedded(n)} for n in range(4)])
    whole = file.read_bytes()
    file.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "zeroed": whole[:200] + bytes(len(whole) - 400) + whole[-200:],
            "empty": b"",
            "garbled": whole[:4] + bytes(byte ^ 255 for byte in whole[4:-60]) + whole[-60:],
        }[damage]
    )
    with pytest.raises(DataError, match=r"bad\.parquet cannot be read as parquet"):
        read_prompts(file, folder, max_image_pixels=10**6)


# --- what would be lost in silence ----------------------------------------------------------------------------


def test_paths_of_images_that_no_key_reads_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"images are in the column img.*columns found: question, img, note"):
        read(folder, [{"question": "?", "img": "pictures/1.png", "note": "x"}])
    assert only(folder, {"question": "?", "img": "pictures/1.png"}, unused=["img"]).columns == {}


def test_choices_that_no_key_reads_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    prompt = only(folder, {"question": "?", "Options": ["x", "y"]})
    assert prompt.columns == {"Options": ["x", "y"]}
    assert "the column Options holds choices that no prompt shows" in caplog.text


def test_equal_names_of_rows_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(folder, [{"question": "a", "id": 1}, {"question": "b", "id": "1"}, {"question": "c", "id": 2}])
    assert "1 names of rows are given more than once in the column id, such as 1" in caplog.text


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"question": None}, "fixed_question"),
        ({"answer_form": "number"}, "answer_form"),
        ({"tolerance": "a", "decimals": "b"}, "give one of them"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        ColumnMap(**settings)


def test_a_file_without_a_map_keeps_its_further_columns(folder: Path) -> None:
    row = {"question": "?", "prompt": [{"role": "user", "content": "x"}], "unit": "cm", "answer": "3"}
    prompt = only(folder, row)
    assert prompt.columns == {"prompt": row["prompt"], "unit": "cm"}
    assert json.loads(json.dumps(prompt.answer)) == "3"
