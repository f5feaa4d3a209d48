"""POPE probes as a folder of prompts."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from algorithms import ConfigError, DataError, Prompt
from datamodules import PromptFolder, ShapesFolder
from datamodules.rows.prompt_rows import read_prompts
from datamodules.sources.pope_probes import PopeFolder, annotated_images

ROWS = [
    {"question": "what ?", "image": "images/0.png", "facts": ["cat", "dog", "cat"]},
    {"question": "who ?", "image": "images/1.png", "facts": ["owl"]},
    {"question": "again ?", "image": "images/1.png", "facts": ["owl", "cup"]},
    {"question": "no facts", "image": "images/2.png"},
    {"question": "no image", "facts": ["cat"]},
]


def write(folder: Path, split: str, rows: list[dict[str, Any]]) -> PromptFolder:
    """Write the rows of a split, with a picture of its own colour for each image that they name."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for i in range(3):
        Image.new("RGB", (4, 4), (80 * i, 0, 0)).save(folder / "images" / f"{i}.png")
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return PromptFolder(str(folder))


@pytest.fixture
def source(tmp_path: Path) -> PromptFolder:
    return write(tmp_path / "source", "val", ROWS)


def probes(source: PromptFolder, root: Path, split: str = "val", **settings: Any) -> list[Prompt]:
    made = PopeFolder(source, root=str(root), **settings)
    made.prepare()
    rows = read_prompts(made.split_file(split), made.folder, max_image_pixels=10**6)
    assert not rows.rejections
    return list(rows.prompts)


def test_probes_are_prompts_like_any_other(source: PromptFolder, tmp_path: Path) -> None:
    made = probes(source, tmp_path, categories=["popular"], num_pairs=1)
    # Two images; each is asked about one of its objects, then about the most frequent of the others.
    assert [p.answer for p in made] == ["yes", "no", "yes", "no"]
    assert [p.key for p in made] == [f"val-popular-{i:06d}" for i in range(4)]
    assert (made[1].question, made[3].question) == ("Is there a cup in the image?", "Is there a cat in the image?")
    assert made[1].columns == {"category": "popular", "object": "cup", "split": "val"}
    assert [p.facts for p in made] == [("cat", "dog", "cat")] * 2 + [("owl", "cup")] * 2
    assert [p.images[0].load().getpixel((0, 0)) for p in made] == [(0, 0, 0)] * 2 + [(80, 0, 0)] * 2


def test_the_answer_says_whether_the_image_shows_the_object(source: PromptFolder, tmp_path: Path) -> None:
    for prompt in probes(source, tmp_path):
        assert prompt.facts is not None
        assert prompt.answer == ("yes" if prompt.columns["object"] in prompt.facts else "no")


def test_every_category_is_asked_in_full(source: PromptFolder, tmp_path: Path) -> None:
    made = probes(source, tmp_path)
    categories = [prompt.columns["category"] for prompt in made]
    assert [categories.count(name) for name in ("random", "popular", "adversarial")] == [8, 8, 8]


def test_the_question_is_a_template(source: PromptFolder, tmp_path: Path) -> None:
    made = probes(source, tmp_path, template="any {object} ?", num_pairs=1)
    assert {p.question for p in made} == {f"any {p.columns['object']} ?" for p in made}


def test_the_shapes_world_gives_probes(tmp_path: Path) -> None:
    shapes = ShapesFolder(num_train=3, num_val=4, num_test=2, root=str(tmp_path / "shapes"))
    for split, num_images in (("train", 3), ("val", 4), ("test", 2)):
        made = probes(shapes, tmp_path, split)
        assert len({p.images[0] for p in made}) == num_images
        assert sum(p.answer == "yes" for p in made) * 2 == len(made) > 0


def test_images_inside_a_parquet_file_are_copied(source: PromptFolder, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    pictures = [(source.folder / "images" / f"{i}.png").read_bytes() for i in range(2)]
    table = pa.table({"question": ["what ?"] * 2, "image": pictures, "facts": [["cat"], ["owl"]]})
    pq.write_table(table, folder / "test.parquet")
    made = probes(PromptFolder(str(folder)), tmp_path, "test", categories=["random"])
    assert [(p.columns["object"], p.answer) for p in made] == [
        ("cat", "yes"), ("owl", "no"), ("owl", "yes"), ("cat", "no"),
    ]  # fmt: skip
    assert made[2].images[0].load().getpixel((0, 0)) == (80, 0, 0)


def test_rows_about_one_image_become_one(source: PromptFolder) -> None:
    prompts = read_prompts(source.split_file("val"), source.folder, max_image_pixels=10**6).prompts
    assert list(annotated_images(prompts).values()) == [("cat", "dog", "cat"), ("owl", "cup")]


def test_a_second_run_finds_the_same_folder_and_other_settings_another(source: PromptFolder, tmp_path: Path) -> None:
    first, again = (PopeFolder(source, root=str(tmp_path)) for _ in range(2))
    first.prepare()
    written = (first.folder / "val.jsonl").stat().st_mtime_ns
    again.prepare()
    assert again.folder == first.folder
    assert (again.folder / "val.jsonl").stat().st_mtime_ns == written
    assert PopeFolder(source, root=str(tmp_path), seed=1).folder != first.folder


def test_new_data_makes_a_new_folder(source: PromptFolder, tmp_path: Path) -> None:
    folder = PopeFolder(source, root=str(tmp_path)).folder
    write(source.folder, "val", ROWS[:2])
    assert PopeFolder(source, root=str(tmp_path)).folder != folder


def test_data_without_facts_is_explained_and_leaves_nothing(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", "val", ROWS[3:])
    made = PopeFolder(bare, root=str(tmp_path / "made"))
    with pytest.raises(DataError, match=r"bare gives a probe: a row needs one image and a column facts"):
        made.prepare()
    assert list((tmp_path / "made").iterdir()) == []


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.path must be an existing folder, got '.*nowhere'"):
        PopeFolder(PromptFolder(str(tmp_path / "nowhere")), root=str(tmp_path)).prepare()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"num_pairs": 0}, "num_pairs must be at least 1, got 0"),
        ({"categories": ["hard"]}, r"categories must name one or more of random, popular, adversarial, got \['hard'\]"),
        ({"categories": []}, "categories must name"),
        ({"template": "Is it?"}, "template must hold {object}"),
    ],
)
def test_wrong_settings_are_refused(source: PromptFolder, settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.source\.{key}"):
        PopeFolder(source, **settings)
