"""What a file holds and no prompt shows is told, and what is read halfway costs its row."""

import base64
from pathlib import Path
from typing import Any

import pytest

from algorithms import DataError
from datamodules.rows.columns.column_map import ColumnMap
from tests.datamodules.public_layouts.pieces import parquet, png, save, seed_of
from tests.datamodules.rows.test_column_map import only, read, read_prompts, reason

BASE64 = base64.b64encode(png(0)).decode()


@pytest.mark.parametrize(
    "cell",
    [
        BASE64,
        f"data:image/png;base64,{BASE64}",
        [BASE64, BASE64],
        "https://example.org/1.jpg?width=40#top",
        {"files": [{"path": "1.png", "size": 3}]},
        [{"image": "1.png"}, {"image": "2.png"}],
    ],
    ids=["base64", "data URL", "list of base64", "web address", "object", "list of objects"],
)
def test_images_of_any_form_that_no_key_reads_are_refused(tmp_path: Path, cell: Any) -> None:
    with pytest.raises(DataError, match=r"images are in the column seen, which no key reads"):
        read(tmp_path, [{"question": "?", "seen": cell}])


@pytest.mark.parametrize(
    "row",
    [
        {"opts": "red; blue"},
        {"multi_choice": ["red", "blue"]},
        {"option_a": "red", "option_b": "blue"},
        {"choice1": "red", "choice2": "blue"},
        {"A": "red", "B": "blue", "C": "green"},
    ],
)
def test_choices_under_any_usual_name_that_no_key_reads_are_told(
    tmp_path: Path, row: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    read(tmp_path, [{"question": "?", **row}])
    assert f"the column {', '.join(row)} holds choices that no prompt shows" in caplog.text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"question": "{contxt}\n{question}"}, "columns.question names contxt"),
        ({"tolerance": "eror"}, "columns.tolerance names eror"),
        ({"unit": "about.units"}, "columns.unit names about.units"),
        ({"choices": "option_*"}, "columns.choices names option_*"),
        ({"images": ["image_1"]}, "columns.images names image_1"),
        ({"id": "name"}, "columns.id names name"),
        ({"system": "context"}, "columns.system names context"),
    ],
)
def test_a_key_that_names_a_column_in_which_no_row_has_anything_is_told(
    tmp_path: Path, settings: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"question": "?", "context": None, "about": {"unit": "cm"}, "error": 0.1}] * 2
    read(tmp_path, rows, **settings)
    assert f"{told}, in which no row has anything; columns found: question, context, about, error" in caplog.text


def test_a_key_whose_column_some_row_has_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, [{"question": "?", "unit": None}, {"question": "??", "unit": "cm"}], unit="unit")
    assert caplog.text == ""


def test_images_of_a_conversation_and_of_a_column_that_differ_in_number_cost_the_row(tmp_path: Path) -> None:
    save(1, tmp_path / "1.png")
    row = {
        "messages": [{"role": "user", "content": [{"type": "image", "image": "1.png"}, {"type": "text", "text": "?"}]}],
        "images": ["1.png", "1.png"],
    }
    assert reason(tmp_path, row, question="messages").endswith("holds 1 x image, and columns.images 2")
    prompt = only(tmp_path, {**row, "images": ["1.png"]}, question="messages")
    assert len(prompt.images) == 1


def test_a_list_of_images_written_as_text_in_a_table_is_read_and_an_empty_text_is_no_image(tmp_path: Path) -> None:
    texts = [f'["{BASE64}", "{base64.b64encode(png(3)).decode()}"]', "", BASE64]
    parquet(tmp_path / "rows.parquet", [{"question": "?", "image": text, "answer": "1"} for text in texts])
    rows = read_prompts(tmp_path / "rows.parquet", tmp_path, max_image_pixels=10**6, columns=ColumnMap(images="image"))
    assert [[seed_of(image.load()) for image in prompt.images] for prompt in rows.prompts] == [[0, 3], [], [0]]


def test_a_choice_that_pandas_left_out_is_none(tmp_path: Path) -> None:
    row = {"question": "?", "A": "x", "B": "y", "C": float("nan"), "answer": "y"}
    assert only(tmp_path, row, choices=["A", "B", "C"]).choices == ("x", "y")


def test_an_index_that_is_taken_for_a_text_is_explained(tmp_path: Path) -> None:
    told = reason(tmp_path, {"question": "?", "options": ["x", "y"], "answer": 1}, choices="options")
    assert told.endswith("for the index of a choice set columns.answer_form to index_0 or index_1")


def test_the_last_turn_of_a_conversation_may_be_the_answer(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "4"}]
    assert only(tmp_path, {"messages": turns}, question="messages", answer="messages.-1.content").answer == "4"


def test_any_of_several_spellings_is_the_answer(tmp_path: Path) -> None:
    spelled = {"question": "?", "answers": ["NYC", "New York", "NYC"]}
    prompt = only(tmp_path, spelled, answer="answers", several_answers="any")
    assert (prompt.answer, prompt.aliases) == ("NYC", ("New York",))
    row = {"question": "?", "answers": ["3", "3.0"], "u": "cm"}
    counted = only(tmp_path, row, answer="answers", several_answers="any", unit="u")
    assert (counted.answer, counted.aliases) == ("3 cm", ("3.0 cm",))
    assert only(tmp_path, spelled, answer="answers", several_answers="first").aliases == ()
