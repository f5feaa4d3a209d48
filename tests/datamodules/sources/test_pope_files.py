"""POPE's own files, read and written."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from algorithms import ConfigError, DataError, Prompt
from datamodules import PopeFile, PopeFolder, PromptFolder
from datamodules.rows.rejections import count_reasons
from datamodules.sources.pope_files import write_pope_file
from tests.datamodules.sources.test_pope_probes import ROWS, write

# As released: https://github.com/AoiDragon/POPE/blob/main/output/coco/coco_pope_popular.json
OFFICIAL = [
    '{"question_id": 1, "image": "COCO_1.jpg", "text": "Is there a snowboard in the image?", "label": "yes"}',
    '{"question_id": 2, "image": "COCO_1.jpg", "text": "Is there a dining table in the image?", "label": "no"}',
    '{"question_id": 3, "image": "COCO_2.jpg", "text": "Is there an apple in the imange?", "label": "no"}',
]


def official(folder: Path, lines: list[str], name: str = "coco_pope_popular.json") -> PopeFile:
    """Lay out a file of POPE beside a folder with two images."""
    images = folder / "val2014"
    images.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        Image.new("RGB", (4, 4), (80 * number, 0, 0)).save(images / f"COCO_{number}.jpg")
    (folder / name).write_text("\n".join(lines) + "\n")
    return PopeFile(str(folder / name), str(images))


def read(source: PromptFolder) -> list[Prompt]:
    rows = source.read("val", max_image_pixels=10**6)
    assert not rows.rejections
    return list(rows.prompts)


def test_a_released_file_is_read_as_probes(tmp_path: Path) -> None:
    probes = read(official(tmp_path, OFFICIAL))
    assert [(p.key, p.question, p.answer) for p in probes] == [
        ("1", "Is there a snowboard in the image?", "yes"),
        ("2", "Is there a dining table in the image?", "no"),
        ("3", "Is there an apple in the imange?", "no"),
    ]
    assert [p.columns for p in probes] == [
        {"category": "popular", "object": name} for name in ("snowboard", "dining table", "apple")
    ]
    assert [p.images[0].load().getpixel((0, 0))[0] // 80 for p in probes] == [1, 1, 2]
    assert {p.facts for p in probes} == {None}


def test_a_row_may_name_its_category_and_ask_in_its_own_words(tmp_path: Path) -> None:
    row = '{"question_id": 1, "image": "COCO_1.jpg", "text": "Any snow?", "label": " Yes", "category": "random"}'
    (probe,) = read(official(tmp_path, [row]))
    assert (probe.columns, probe.answer) == ({"category": "random"}, "yes")
    (probe,) = read(official(tmp_path, OFFICIAL[:1], name="mine.jsonl"))
    assert probe.columns == {"object": "snowboard"}


def test_a_bad_row_costs_itself_only_and_is_counted(tmp_path: Path) -> None:
    bad: list[dict[str, Any]] = [
        {"image": "COCO_1.jpg", "text": "Is there a cat in the image?", "label": "maybe"},
        {"image": "COCO_1.jpg", "text": "Is there a cat in the image?"},
        {"image": "COCO_1.jpg", "label": "yes"},
        {"image": "COCO_9.jpg", "text": "Is there a cat in the image?", "label": "yes"},
        {"text": "Is there a cat in the image?", "label": "yes"},
        {"image": "../secret.jpg", "text": "Is there a cat in the image?", "label": "yes"},
        {"image": "COCO_1.jpg", "text": " ", "label": "yes"},
    ]
    source = official(tmp_path, ["{", *map(json.dumps, bad), *OFFICIAL])
    rows = source.read("val", max_image_pixels=10**6)
    assert [p.uid for p in rows.prompts] == [8, 9, 10]
    assert rows.num_rows == 11
    assert count_reasons(rows.rejections) == {
        "label is neither yes nor no": 2, "missing image": 2, "empty question": 1, "not JSON": 1,
        "path outside the data folder": 1, "wrong type": 1,
    }  # fmt: skip
    assert rows.rejections[1].detail == "label is 'maybe'"


def test_what_is_written_is_read_back_and_what_is_read_is_written_back(tmp_path: Path) -> None:
    source = official(tmp_path, [line.replace("imange", "image") for line in OFFICIAL])
    write_pope_file(tmp_path / "new" / "again.json", read(source), source.folder)
    assert (tmp_path / "new" / "again.json").read_text() == source.file.read_text()


def test_built_probes_come_with_files_for_public_scorers(tmp_path: Path) -> None:
    built = PopeFolder(write(tmp_path / "source", "val", ROWS), root=str(tmp_path))
    built.prepare()
    own = read(built)
    for category in ("random", "popular", "adversarial"):
        file = built.folder / "official" / f"val_{category}.json"
        again = read(PopeFile(str(file), str(built.folder / "images")))
        assert [p.key for p in again] == [str(number) for number in range(1, 9)]
        same = [p for p in own if p.columns["category"] == category]
        assert [(p.question, p.answer, p.images) for p in again] == [(p.question, p.answer, p.images) for p in same]
        assert [p.columns["object"] for p in again] == [p.columns["object"] for p in same]
        first = json.loads(file.read_text().splitlines()[0])
        assert list(first) == ["question_id", "image", "text", "label"]


def test_only_answered_probes_about_files_are_written(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "val", ROWS)
    with pytest.raises(DataError, match=r"val-0 cannot be written .* has 1 image\(s\), .* and the answer None"):
        write_pope_file(tmp_path / "probes.json", read(source), source.folder)
    assert not (tmp_path / "probes.json").exists()


def test_probes_are_no_training_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"coco_pope_popular\.json holds probes to measure with"):
        official(tmp_path, OFFICIAL).read("train", max_image_pixels=10**6)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    source = official(tmp_path, OFFICIAL)
    with pytest.raises(ConfigError, match=r"PopeFile\.path must be an existing file, got '.*nowhere\.json'"):
        PopeFile(str(tmp_path / "nowhere.json"), source.path).read("val", max_image_pixels=1)
    with pytest.raises(ConfigError, match=r"PopeFile\.images must be an existing folder, got '.*nowhere'"):
        PopeFile(str(source.file), str(tmp_path / "nowhere")).read("val", max_image_pixels=1)
    with pytest.raises(ConfigError, match=r"PopeFile\.path and PopeFile\.images must name a file and a folder"):
        PopeFile("", source.path)
