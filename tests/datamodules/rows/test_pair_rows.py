"""How rows of either layout become preference pairs, and what each bad row costs: itself."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from algorithms.errors import DataError
from algorithms.records import PreferencePair, Prompt
from datamodules.rows.images import EmbeddedImage, ImageFile
from datamodules.rows.pair_rows import PairReader, PairRows, read_pairs
from tests.datamodules.rows.test_images import encoded, noise, png_that_claims

MAX_PIXELS = 50_000_000
PLAIN = {"question": "?", "chosen": "yes", "rejected": "no"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for seed in range(2):
        (data / "images" / f"{seed}.png").write_bytes(encoded(noise(seed)))
    (data / "images" / "truncated.png").write_bytes(encoded(noise(0))[:200])
    (data / "images" / "bomb.png").write_bytes(png_that_claims(100_000, 100_000))
    return data


def write_rows(file: Path, *rows: Any) -> Path:
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def read(folder: Path, *rows: Any) -> PairRows:
    file = write_rows(folder / "train.jsonl", *rows)
    return read_pairs(file, folder, max_image_pixels=MAX_PIXELS)


def read_one(folder: Path, row: Any) -> PreferencePair:
    rows = read(folder, row)
    assert not rows.rejections
    return rows.pairs[0]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def test_a_row_of_mmpr_becomes_a_pair(folder: Path) -> None:
    row = {
        "image": "images/0.png",
        "question": "<image>\nHow many?",
        "chosen": "Three. Answer: 3",
        "rejected": "Four. Answer: 4",
        "answer_gt": "3",
        "chosen_meta": {"step": 1},
        "rejected_meta": None,
    }
    assert read_one(folder, row) == PreferencePair(
        uid=0,
        prompt=Prompt(
            uid=0,
            key="train-0",
            question="<image>\nHow many?",
            images=(ImageFile(folder / "images" / "0.png"),),
            answer="3",
            columns={"chosen_meta": {"step": 1}, "rejected_meta": None},
        ),
        chosen="Three. Answer: 3",
        rejected="Four. Answer: 4",
    )


def test_the_columns_of_our_own_are_read_in_either_layout(folder: Path) -> None:
    own = {
        "id": 17,
        "facts": ["red", "red"],
        "answer": 3,
        "kind": "dropout_ntp",
        "chosen_score": 2,
        "rejected_score": -0.5,
        "rejected_ended": False,
    }
    for question in ("question", "prompt"):
        pair = read_one(folder, {question: "?", "chosen": "yes", "rejected": "no", **own})
        assert pair == PreferencePair(
            uid=0,
            prompt=Prompt(uid=0, key="17", question="?", answer="3", facts=("red", "red")),
            chosen="yes",
            rejected="no",
            kind="dropout_ntp",
            chosen_score=2.0,
            rejected_score=-0.5,
            rejected_ended=False,
        )
        assert pair.margin == 2.5


def test_nulls_count_as_absent(folder: Path) -> None:
    names = ("id", "image", "answer_gt", "facts", "kind", "chosen_score", "rejected_score", "rejected_ended", "prompt")
    assert read_one(folder, PLAIN | dict.fromkeys(names)) == read_one(folder, PLAIN)


ASK = "<image>\nHow many?"
ASK_IN_PARTS = [{"type": "image"}, {"type": "text", "text": "How many?"}]
SAME_PAIRS: list[dict[str, Any]] = [
    {"question": ASK, "image": "images/0.png", "chosen": "3", "rejected": "4"},
    {"prompt": ASK, "images": ["images/0.png"], "chosen": "3", "rejected": "4"},
    {"prompt": ASK, "image": "images/0.png", "chosen": [assistant("3")], "rejected": "4"},
    {"prompt": [user(ASK)], "images": ["images/0.png"], "chosen": [assistant("3")], "rejected": [assistant("4")]},
    {
        "prompt": [user(ASK_IN_PARTS)],
        "images": ["images/0.png"],
        "chosen": [assistant([{"type": "text", "text": "3"}])],
        "rejected": [assistant([{"type": "text", "text": "4"}])],
    },
    {
        "images": ["images/0.png"],
        "chosen": [user(ASK_IN_PARTS), assistant("3")],
        "rejected": [user(ASK_IN_PARTS), assistant("4")],
    },
    {
        "prompt": ASK,
        "images": ["images/0.png"],
        "chosen": [user(ASK), assistant("3")],
        "rejected": [user(ASK), assistant("4")],
    },
]


@pytest.mark.parametrize("row", SAME_PAIRS, ids=range(len(SAME_PAIRS)))
def test_every_way_to_write_a_pair_gives_the_same_pair(folder: Path, row: dict[str, Any]) -> None:
    assert read_one(folder, row) == read_one(folder, SAME_PAIRS[0])


def test_parquet_fills_turns_and_parts_with_nulls_that_say_nothing(folder: Path) -> None:
    part = {"type": "image", "text": None}
    text = {"type": "text", "text": "?"}
    columns = {
        "images": [[{"bytes": encoded(noise(0)), "path": None}]],
        "prompt": [[{"role": "user", "content": [part, text], "tool_calls": None}]],
        "chosen": [[{"role": "assistant", "content": [{"type": "text", "text": "yes"}], "tool_calls": None}]],
        "rejected": [[{"role": "assistant", "content": [{"type": "text", "text": "no"}], "tool_calls": None}]],
    }
    pq.write_table(pa.table(columns), folder / "train.parquet")
    (pair,) = read_pairs(folder / "train.parquet", folder, max_image_pixels=MAX_PIXELS).pairs
    assert (pair.prompt.question, pair.chosen, pair.rejected) == ("<image>\n?", "yes", "no")
    assert pair.prompt.images == (EmbeddedImage(folder / "train.parquet", 0, "images", 0),)


def test_completions_keep_their_spaces(folder: Path) -> None:
    pair = read_one(folder, {"prompt": "The sky is", "chosen": " blue.\n", "rejected": " green."})
    assert (pair.chosen, pair.rejected) == (" blue.\n", " green.")


BAD_ROWS: list[tuple[str, Any]] = [
    ("wrong type", ["chosen", "rejected"]),
    ("wrong type", PLAIN | {"question": 7}),
    ("wrong type", PLAIN | {"prompt": "?"}),
    ("wrong type", PLAIN | {"chosen": 7}),
    ("wrong type", PLAIN | {"rejected": {"content": "no"}}),
    ("wrong type", PLAIN | {"chosen": "half of a pair: \ud800"}),
    ("wrong type", PLAIN | {"chosen": ["yes"]}),
    ("wrong type", PLAIN | {"chosen": [{"content": "yes"}]}),
    ("wrong type", PLAIN | {"chosen": [assistant(7)]}),
    ("wrong type", PLAIN | {"chosen": [assistant(["yes"])]}),
    ("wrong type", PLAIN | {"chosen": [assistant([{"text": "yes"}])]}),
    ("wrong type", PLAIN | {"id": 1.5}),
    ("wrong type", PLAIN | {"answer_gt": ["3"]}),
    ("wrong type", PLAIN | {"answer_gt": "3", "answer": "4"}),
    ("wrong type", PLAIN | {"facts": "red"}),
    ("wrong type", PLAIN | {"kind": 3}),
    ("wrong type", PLAIN | {"kind": " "}),
    ("wrong type", PLAIN | {"chosen_score": "0.5"}),
    ("wrong type", PLAIN | {"chosen_score": True}),
    ("wrong type", PLAIN | {"chosen_score": float("nan")}),
    ("wrong type", PLAIN | {"rejected_score": float("-inf")}),
    ("wrong type", PLAIN | {"rejected_score": 10**400}),
    ("wrong type", PLAIN | {"rejected_ended": 0}),
    ("wrong type", PLAIN | {"marks_added": "yes"}),
    ("wrong type", PLAIN | {"prompt_columns": "level"}),
    ("wrong type", PLAIN | {"image": 3}),
    ("empty question", PLAIN | {"question": " \n"}),
    ("empty question", {"chosen": "The sky is blue", "rejected": "The sky is green"}),
    ("empty question", {"prompt": [user(None)], "chosen": "yes", "rejected": "no"}),
    ("empty completion", PLAIN | {"chosen": ""}),
    ("empty completion", PLAIN | {"rejected": " \n"}),
    ("empty completion", PLAIN | {"rejected": None}),
    ("empty completion", PLAIN | {"chosen": []}),
    ("empty completion", PLAIN | {"chosen": [assistant(None)]}),
    ("empty completion", {"question": "?", "chosen": "yes"}),
    ("chosen equals rejected", PLAIN | {"rejected": "yes"}),
    ("chosen equals rejected", PLAIN | {"rejected": "\nyes "}),
    ("unsupported conversation", PLAIN | {"question": [{"role": "system", "content": "Be brief."}, user("?")]}),
    ("unsupported conversation", PLAIN | {"question": [user("a"), assistant("b"), user("c")]}),
    ("unsupported conversation", PLAIN | {"question": []}),
    ("unsupported conversation", PLAIN | {"chosen": [user("a"), assistant("b"), user("c"), assistant("d")]}),
    ("unsupported conversation", PLAIN | {"chosen": [{"role": "tool", "content": "yes"}]}),
    ("unsupported conversation", PLAIN | {"chosen": [assistant("yes") | {"tool_calls": [{"name": "look"}]}]}),
    ("unsupported conversation", PLAIN | {"chosen": [assistant([{"type": "image"}])]}),
    ("unsupported conversation", PLAIN | {"question": [user([{"type": "video"}])]}),
    ("unsupported conversation", PLAIN | {"question": [user([{"type": "image", "image": "images/0.png"}])]}),
    ("unsupported conversation", {"chosen": [user("a"), assistant("yes")], "rejected": [user("b"), assistant("no")]}),
    ("unsupported conversation", {"chosen": [user("a"), assistant("yes")], "rejected": [assistant("no")]}),
    (
        "unsupported conversation",
        {"prompt": "b", "chosen": [user("a"), assistant("yes")], "rejected": [user("a"), assistant("no")]},
    ),
    ("image marks do not match images", PLAIN | {"question": "<image>\n?"}),
    ("image marks do not match images", {"prompt": [user(ASK_IN_PARTS)], "chosen": "yes", "rejected": "no"}),
    ("image marks do not match images", PLAIN | {"chosen": "as <image> shows"}),
    ("path outside the data folder", PLAIN | {"image": "../outside.png"}),
    ("missing image", PLAIN | {"image": "images/9.png"}),
    ("corrupt image", PLAIN | {"image": ["images/0.png", "images/truncated.png"]}),
    ("oversized image", PLAIN | {"image": "images/bomb.png"}),
]


@pytest.mark.parametrize(("reason", "row"), BAD_ROWS)
def test_a_bad_row_costs_itself_and_says_why(folder: Path, reason: str, row: Any) -> None:
    rows = read(folder, PLAIN | {"question": "before"}, row, PLAIN | {"question": "after"})
    assert [(pair.uid, pair.prompt.uid, pair.prompt.question) for pair in rows.pairs] == [
        (0, 0, "before"),
        (2, 2, "after"),
    ]
    assert [(bad.row, bad.key, bad.reason) for bad in rows.rejections] == [(1, "train-1", reason)]
    assert rows.rejections[0].detail
    assert rows.num_rows == 3


def test_a_line_that_is_not_json_is_named_by_its_number(folder: Path) -> None:
    good = json.dumps(PLAIN)
    (folder / "train.jsonl").write_text(f"{good}\n\n{{question: 1}}\n{good}\n")
    rows = read_pairs(folder / "train.jsonl", folder, max_image_pixels=MAX_PIXELS)
    assert [pair.uid for pair in rows.pairs] == [0, 2]
    assert [(bad.row, bad.reason) for bad in rows.rejections] == [(1, "not JSON")]
    assert rows.rejections[0].detail.startswith("line 3:")


def test_a_rejected_row_keeps_its_own_name(folder: Path) -> None:
    assert read(folder, PLAIN | {"id": "mine", "chosen": ""}).rejections[0].key == "mine"


def test_a_rejected_conversation_is_told_by_its_turns(folder: Path) -> None:
    row = PLAIN | {"question": [{"role": "system", "content": "Be brief."}, user("?")]}
    assert "[system, user]" in read(folder, row).rejections[0].detail


def test_the_limit_of_pixels_is_the_one_given(folder: Path) -> None:
    file = write_rows(folder / "train.jsonl", PLAIN | {"image": "images/0.png"})
    assert read_pairs(file, folder, max_image_pixels=200).pairs
    assert read_pairs(file, folder, max_image_pixels=199).rejections[0].reason == "oversized image"


def test_a_bomb_is_reported_without_a_warning_of_its_own(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    (folder / "images" / "large.png").write_bytes(png_that_claims(12_000, 12_000))
    assert read(folder, PLAIN | {"image": "images/large.png"}).rejections[0].reason == "oversized image"
    assert not recwarn.list


def test_rows_with_one_question_about_the_same_images_share_a_prompt(folder: Path) -> None:
    about = PLAIN | {"image": "images/0.png"}
    rows = read(folder, about, PLAIN, about | {"chosen": "indeed"}, about | {"image": "images/1.png"}, PLAIN)
    prompts = [pair.prompt for pair in rows.pairs]
    assert [prompt.uid for prompt in prompts] == [0, 1, 0, 3, 1]
    assert prompts[2] is prompts[0]
    assert prompts[4] is prompts[1]


def test_a_prompt_has_the_uid_of_its_first_row_even_when_the_completions_there_are_bad(folder: Path) -> None:
    (pair,) = read(folder, PLAIN | {"chosen": ""}, PLAIN).pairs
    assert (pair.uid, pair.prompt.uid) == (1, 0)


def test_another_answer_to_a_shared_prompt_is_mentioned(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = read(folder, PLAIN | {"answer": "3"}, PLAIN | {"answer": "4"}).pairs
    assert first.prompt.answer == second.prompt.answer == "3"
    assert "1 rows repeat a question about the same images, but give another answer" in caplog.text


def test_equal_answers_to_a_shared_prompt_are_not_mentioned(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(folder, PLAIN | {"answer": "3"}, PLAIN | {"answer_gt": "3"})
    assert not caplog.text


def test_positions_run_through_all_files(folder: Path) -> None:
    first = write_rows(folder / "first.jsonl", PLAIN, PLAIN | {"chosen": ""})
    second = write_rows(folder / "second.jsonl", PLAIN | {"rejected": ""}, PLAIN, PLAIN | {"question": "else?"})
    reader = PairReader(max_image_pixels=MAX_PIXELS)
    assert (reader.read(first, folder), reader.read(second, folder)) == (2, 3)
    rows = reader.rows()
    assert [(pair.uid, pair.prompt.uid, pair.prompt.key) for pair in rows.pairs] == [
        (0, 0, "first-0"),
        (3, 0, "first-0"),
        (4, 4, "second-2"),
    ]
    assert [(bad.row, bad.key) for bad in rows.rejections] == [(1, "first-1"), (2, "second-0")]
    assert rows.num_rows == 5


def test_repeated_rows_have_positions_of_their_own_and_one_prompt(folder: Path) -> None:
    file = write_rows(folder / "train.jsonl", PLAIN, PLAIN | {"chosen": ""})
    reader = PairReader(max_image_pixels=MAX_PIXELS)
    assert reader.read(file, folder, repeats=3) == 2
    rows = reader.rows()
    assert [(pair.uid, pair.prompt.uid) for pair in rows.pairs] == [(0, 0), (2, 0), (4, 0)]
    assert [bad.row for bad in rows.rejections] == [1, 3, 5]
    assert rows.num_rows == 6


def test_only_the_first_rows_are_read_when_a_number_is_given(folder: Path) -> None:
    file = write_rows(folder / "train.jsonl", *[PLAIN] * 5)
    reader = PairReader(max_image_pixels=MAX_PIXELS)
    assert reader.read(file, folder, max_rows=2) == 2
    assert reader.rows().num_rows == 2


def test_a_file_that_is_no_parquet_is_named(folder: Path) -> None:
    (folder / "train.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"train\.parquet cannot be read as parquet"):
        read_pairs(folder / "train.parquet", folder, max_image_pixels=MAX_PIXELS)
