"""Whether pairs that are written in the layout of MMPR come back as they were."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from algorithms.errors import DataError
from algorithms.records import PreferencePair, Prompt
from datamodules.rows.images import ImageFile
from datamodules.rows.pair_rows import PairRows
from datamodules.sources.mmpr_folder import MMPRFolder
from datamodules.sources.mmpr_writer import write_mmpr
from tests.conftest import Picture
from tests.datamodules.rows.test_images import encoded, noise


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    (folder / "images").mkdir(parents=True)
    for seed in range(2):
        (folder / "images" / f"{seed}.png").write_bytes(encoded(noise(seed)))
    return folder


def pair(uid: int, question: str, *images: Any, kind: str = "correctness", **prompt: Any) -> PreferencePair:
    asked = Prompt(uid=uid, key=f"row {uid}", question=question, images=images, **prompt)
    return PreferencePair(uid=uid, prompt=asked, chosen=f"yes {uid}", rejected="no", kind=kind)


def write(folder: Path, pairs: Sequence[PreferencePair], pictures: Path, name: str = "shapes") -> Path:
    write_mmpr(folder, pairs, image_root=pictures, name=name)
    return folder


def read(folder: Path) -> PairRows:
    rows = MMPRFolder(str(folder / "meta.json")).read("train", max_image_pixels=50_000_000)
    assert rows is not None
    return rows


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def all_kinds_of_pairs(pictures: Path) -> list[PreferencePair]:
    first, second = (ImageFile(pictures / "images" / f"{seed}.png") for seed in range(2))
    clashing = {"kind": "count", "level": "easy", "prompt_columns": 3, "chosen": None}
    pairs = [
        pair(0, "What is 2 + 2?", answer="4"),
        pair(1, "<image>\nHow many?", first, facts=("red", "red")),
        pair(2, "How many?", first, facts=(), columns=clashing),
        pair(3, "Как <image> 与 <image>\u2028 相比?", first, second, columns={"deep": {"list": [1, None]}}),
        pair(4, "Which?", first, second, first),
    ]
    scored = replace(pairs[1], uid=5, rejected="no…\n", rejected_ended=False, chosen_score=0.1, rejected_score=-1e-9)
    return [*pairs, scored]


def test_pairs_come_back_as_they_were(tmp_path: Path, pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = all_kinds_of_pairs(pictures)
    rows = read(write(tmp_path / "pairs", pairs, pictures))
    assert list(rows.pairs) == pairs
    assert not rows.rejections
    assert rows.pairs[5].prompt is rows.pairs[1].prompt
    assert not caplog.text


def test_rows_are_those_of_mmpr(tmp_path: Path, pictures: Path) -> None:
    folder = write(tmp_path / "pairs", all_kinds_of_pairs(pictures), pictures)
    rows = lines(folder / "annotations" / "shapes_correctness.jsonl")
    assert [row["question"] for row in rows] == [
        "What is 2 + 2?",
        "<image>\nHow many?",
        "<image>\nHow many?",
        "Как <image> 与 <image>\u2028 相比?",
        "<image>\n<image>\n<image>\nWhich?",
        "<image>\nHow many?",
    ]
    two = ["images/0.png", "images/1.png"]
    images = [row.get("image") for row in rows]
    assert images == [None, "images/0.png", "images/0.png", two, [*two, "images/0.png"], "images/0.png"]
    assert (rows[0]["chosen"], rows[0]["rejected"], rows[0]["answer_gt"]) == ("yes 0", "no", "4")


def test_each_kind_is_a_subset(tmp_path: Path, pictures: Path) -> None:
    pairs = [pair(0, "a", kind="format"), pair(1, "b", kind="a/b ü.saved"), pair(2, "c", kind="format")]
    folder = write(tmp_path / "pairs", pairs, pictures)
    meta = json.loads((folder / "meta.json").read_text())
    assert meta == {
        name: {
            "root": "../prompts",
            "annotation": f"annotations/{name}.jsonl",
            "data_augment": False,
            "repeat_time": 1,
            "length": length,
        }
        for name, length in [("shapes_a_b_ü_saved", 1), ("shapes_format", 2)]
    }
    assert [(pair.chosen, pair.kind) for pair in read(folder).pairs] == [
        ("yes 1", "a/b ü.saved"),
        ("yes 0", "format"),
        ("yes 2", "format"),
    ]


def test_the_same_pairs_give_the_same_bytes(tmp_path: Path, pictures: Path) -> None:
    pairs = [*all_kinds_of_pairs(pictures), pair(6, "d", Picture((255, 0, 0)), kind="format")]
    folders = [write(tmp_path / name, pairs, pictures) for name in ("first", "second")]
    contents = [
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in folders
    ]
    assert contents[0] == contents[1]


def test_pairs_and_pictures_side_by_side_can_move_together(tmp_path: Path, pictures: Path) -> None:
    write(tmp_path / "pairs", all_kinds_of_pairs(pictures), pictures)
    (tmp_path / "elsewhere").mkdir()
    for name in ("pairs", "prompts"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert len(read(tmp_path / "elsewhere" / "pairs").pairs) == 6


def test_pictures_far_away_are_found_by_their_whole_path(tmp_path: Path, pictures: Path) -> None:
    folder = tmp_path / "runs" / "deep" / "pairs"
    write(folder, all_kinds_of_pairs(pictures), pictures)
    assert json.loads((folder / "meta.json").read_text())["shapes_correctness"]["root"] == str(pictures)
    assert len(read(folder).pairs) == 6


def test_images_without_a_file_below_the_root_are_saved_once(tmp_path: Path, pictures: Path) -> None:
    outside = tmp_path / "outside.jpg"
    noise(3).save(outside)
    inside = ImageFile(pictures / "images" / "0.png")
    red = Picture((255, 0, 0))
    pairs = [
        pair(0, "a", inside),
        pair(1, "b", red),
        pair(2, "<image> or <image>?", inside, red),
        pair(3, "d", ImageFile(outside)),
    ]
    folder = write(tmp_path / "pairs", pairs, pictures)
    assert sorted(path.name for path in (folder / "images").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    back = read(folder).pairs
    assert [(b.prompt.question, b.chosen) for b in back] == [(p.prompt.question, p.chosen) for p in pairs]
    assert [[i.load().tobytes() for i in b.prompt.images] for b in back] == [
        [i.load().tobytes() for i in p.prompt.images] for p in pairs
    ]
    assert back[0].prompt.images == (inside,)


def test_a_link_out_of_the_root_is_saved_and_a_link_inside_stays_a_link(tmp_path: Path, pictures: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    (pictures / "out.png").symlink_to(tmp_path / "outside.png")
    (pictures / "in.png").symlink_to(pictures / "images" / "0.png")
    folder = write(
        tmp_path / "pairs",
        [pair(0, "a", ImageFile(pictures / "in.png")), pair(1, "b", ImageFile(pictures / "out.png"))],
        pictures,
    )
    assert lines(folder / "annotations" / "shapes_correctness.jsonl")[0]["image"] == "in.png"
    assert lines(folder / "annotations" / "shapes_correctness.saved.jsonl")[0]["image"] == "000000.png"
    assert len(read(folder).pairs) == 2


def test_the_root_may_be_reached_through_a_link(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "link").symlink_to(pictures)
    pairs = [pair(0, "a", ImageFile(tmp_path / "link" / "images" / "0.png"))]
    (back,) = read(write(tmp_path / "pairs", pairs, tmp_path / "link")).pairs
    assert back.prompt.images == (ImageFile(pictures / "images" / "0.png"),)


def test_cells_that_json_cannot_hold_become_texts(tmp_path: Path, pictures: Path) -> None:
    (back,) = read(write(tmp_path / "pairs", [pair(0, "a", columns={"where": Path("x")})], pictures)).pairs
    assert back.prompt.columns == {"where": "x"}


class Unreadable:
    def load(self) -> Image.Image:
        raise OSError("the disk is gone")


def test_a_failure_leaves_nothing_behind(tmp_path: Path, pictures: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="the disk is gone"):
        write(tmp_path / "pairs", [pair(0, "a"), pair(1, "b", Unreadable())], pictures)
    assert sorted(tmp_path.iterdir()) == before


def test_pairs_are_never_written_over_others(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "pairs").mkdir()
    folder = write(tmp_path / "pairs", [pair(0, "a")], pictures)
    with pytest.raises(DataError, match="is there already"):
        write(folder, [pair(0, "b")], pictures)
    assert read(folder).pairs[0].prompt.question == "a"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs", "prompts"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, pictures: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"got '{name}'"):
        write(tmp_path / "pairs", [pair(0, "a")], pictures, name)


def test_no_pairs_are_no_data_set(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(DataError, match="no pairs to write"):
        write(tmp_path / "pairs", [], pictures)


def test_a_prefill_has_no_column(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(DataError, match="pair 3 continues the prefill 'The sky'"):
        write(tmp_path / "pairs", [pair(3, "a", prefill="The sky")], pictures)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip() and "<image>" not in text)
SCORES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | SCORES | TEXTS, lambda cells: st.lists(cells, max_size=2)
)


COLUMNS = st.dictionaries(st.sampled_from(["kind", "question", "image", "id", "level", "facts"]), JSON, max_size=3)
ROWS = st.fixed_dictionaries(
    {
        "question": TEXTS,
        "prompt": st.fixed_dictionaries(
            {
                "key": TEXTS,
                "answer": st.none() | TEXTS,
                "facts": st.none() | st.lists(TEXTS, max_size=2).map(tuple),
                "columns": COLUMNS,
            }
        ),
        "completions": st.tuples(TEXTS, TEXTS).filter(lambda both: both[0].strip() != both[1].strip()),
        "scores": st.fixed_dictionaries({"chosen_score": SCORES, "rejected_score": SCORES}),
        "rejected_ended": st.booleans(),
    }
)


def pair_of(uid: int, row: dict[str, Any]) -> PreferencePair:
    prompt = Prompt(uid=uid, question=row["question"], **row["prompt"])
    chosen, rejected = row["completions"]
    ended = row["rejected_ended"]
    return PreferencePair(
        uid=uid, prompt=prompt, chosen=chosen, rejected=rejected, rejected_ended=ended, **row["scores"]
    )


@given(st.lists(ROWS, min_size=1, max_size=3, unique_by=lambda row: row["question"]))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back_as_it_was(rows: list[dict[str, Any]]) -> None:
    pairs = [pair_of(uid, row) for uid, row in enumerate(rows)]
    folder = Path(tempfile.mkdtemp())
    try:
        assert list(read(write(folder / "pairs", pairs, folder)).pairs) == pairs
    finally:
        shutil.rmtree(folder)
