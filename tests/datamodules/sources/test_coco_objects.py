"""COCO's pictures with what they show."""

import json
from pathlib import Path

import pytest

from algorithms import ConfigError, DataError
from datamodules import CocoObjects
from tests.datamodules.public_layouts.hallucination import write_coco_objects


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_coco_objects(tmp_path / "coco")
    return tmp_path / "coco"


def test_a_picture_shows_its_instances_and_what_its_captions_name(folder: Path) -> None:
    rows = CocoObjects(str(folder)).read("val", max_image_pixels=10**6)
    # The second picture has no annotation: it is known to show nothing.
    assert [prompt.facts for prompt in rows.prompts] == [("bicycle", "dog", "person"), ()]
    assert {prompt.question for prompt in rows.prompts} == {"Please describe this image in detail."}


def test_some_pictures_are_drawn_by_the_seed_in_the_order_of_the_file(folder: Path) -> None:
    def keys(**settings: int) -> list[str]:
        rows = CocoObjects(str(folder), **settings).read("test", max_image_pixels=10**6)
        return [prompt.key for prompt in rows.prompts]

    assert keys(num_pictures=9) == ["145", "146"]
    drawn = {seed: keys(num_pictures=1, seed=seed) for seed in range(8)}
    assert {tuple(each) for each in drawn.values()} == {("145",), ("146",)}
    assert keys(num_pictures=1, seed=3) == drawn[3]


def test_a_missing_picture_costs_its_row(folder: Path) -> None:
    (folder / "val2014" / "COCO_val2014_000000000146.jpg").unlink()
    rows = CocoObjects(str(folder)).read("val", max_image_pixels=10**6)
    assert ([p.key for p in rows.prompts], [r.reason for r in rows.rejections]) == (["145"], ["missing image"])


def test_what_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.num_pictures must be at least 1, got 0"):
        CocoObjects(str(folder), num_pictures=0)
    with pytest.raises(DataError, match=r"data\.source\.train is null"):
        CocoObjects(str(folder)).read("train", max_image_pixels=1)
    (folder / "annotations" / "captions_val2014.json").unlink()
    with pytest.raises(DataError, match=r"has no file annotations/captions_val2014\.json: instances and captions"):
        CocoObjects(str(folder)).read("val", max_image_pixels=1)


def test_annotations_of_another_form_are_told_with_the_entry(folder: Path) -> None:
    file = folder / "annotations" / "instances_val2014.json"
    content = json.loads(file.read_text())
    content["annotations"][1]["category_id"] = 99
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="an annotation has category_id 99, which no entry of categories has"):
        CocoObjects(str(folder)).read("val", max_image_pixels=1)
    del content["annotations"][2]["image_id"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"entry 2 of annotations has no image_id, which COCO's files have"):
        CocoObjects(str(folder)).read("val", max_image_pixels=1)
