"""What is read of MMPR as it is released, and what the user reads when a part of it is missing."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from algorithms.errors import ConfigError, DataError
from datamodules import MMPRFolder
from datamodules.rows.images import ImageFile
from tests.datamodules.sources.pair_files import MAX_PIXELS, questions, read, row, write_image, write_rows


def test_an_empty_path_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"data\.pairs\.meta"):
        MMPRFolder("")


def subset(name: str, length: int, **further: Any) -> dict[str, Any]:
    return {
        "root": f"MMPR-v1.1/images/{name}",
        "annotation": f"MMPR-v1.1/annotations/{name}.jsonl",
        "data_augment": False,
        "repeat_time": 1,
        "length": length,
        **further,
    }


@pytest.fixture
def mmpr(tmp_path: Path) -> Path:
    """The folder of a small MMPR, unpacked as released."""
    folder = tmp_path / "MMPR-v1.1"
    write_image(folder / "images" / "vqa" / "0.png")
    write_image(folder / "images" / "math" / "0.png")
    write_rows(folder / "annotations" / "vqa.jsonl", row("<image>\na", image="0.png"), row("b"))
    write_rows(folder / "annotations" / "math.jsonl", row("<image>\nc", image="0.png"), row(""), row("b"))
    list_subsets(folder, vqa=subset("vqa", 2), math=subset("math", 3))
    return folder


def list_subsets(folder: Path, **subsets: Any) -> None:
    (folder / "meta.json").write_text(json.dumps(subsets))


def source(mmpr: Path, **further: Any) -> MMPRFolder:
    return MMPRFolder(str(mmpr / "meta.json"), **further)


def test_mmpr_as_released_is_one_data_set(mmpr: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = read(source(mmpr))
    assert [(pair.uid, pair.prompt.uid, pair.prompt.question) for pair in rows.pairs] == [
        (0, 0, "<image>\na"),
        (1, 1, "b"),
        (2, 2, "<image>\nc"),
        (4, 1, "b"),
    ]
    assert rows.pairs[2].prompt.images == (ImageFile(mmpr / "images" / "math" / "0.png"),)
    assert [(bad.row, bad.key, bad.reason) for bad in rows.rejections] == [(3, "math-1", "empty question")]
    assert rows.num_rows == 5
    assert source(mmpr).folder == mmpr
    assert not caplog.text


def test_mmpr_holds_training_pairs_only(mmpr: Path) -> None:
    assert source(mmpr).read("val", max_image_pixels=MAX_PIXELS) is None
    assert source(mmpr).read("test", max_image_pixels=MAX_PIXELS) is None


def test_paths_may_begin_at_the_folder_of_meta_json_or_be_absolute(mmpr: Path) -> None:
    near = subset("vqa", 2, root="images/vqa", annotation="annotations/vqa.jsonl")
    far = subset("math", 3, root=str(mmpr / "images" / "math"), annotation=str(mmpr / "annotations" / "math.jsonl"))
    list_subsets(mmpr, near=near, far=far)
    assert questions(source(mmpr)) == ["<image>\na", "b", "<image>\nc", "b"]


def test_images_must_stay_inside_of_their_root(mmpr: Path) -> None:
    write_rows(mmpr / "annotations" / "vqa.jsonl", row("a", image="../math/0.png"), row("b"))
    assert [bad.reason for bad in read(source(mmpr, subsets=["vqa"])).rejections] == ["path outside the data folder"]


def test_images_may_lie_apart(mmpr: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (mmpr / "images").rename(tmp_path / "disk" / "images")
    assert questions(source(mmpr)) == ["b", "b"]
    list_subsets(mmpr, vqa=subset("vqa", 2, root="images/vqa"))
    assert questions(source(mmpr, image_root=str(tmp_path / "disk"))) == ["<image>\na", "b"]


def test_a_missing_image_folder_is_mentioned_with_the_key_that_repairs_it(
    mmpr: Path, caplog: pytest.LogCaptureFixture
) -> None:
    list_subsets(mmpr, vqa=subset("vqa", 2, root="pictures"))
    assert [bad.reason for bad in read(source(mmpr)).rejections] == ["missing image"]
    for part in ("vqa", "'pictures'", str(mmpr / "pictures"), "data.pairs.image_root"):
        assert part in caplog.text


def test_an_image_root_that_is_not_there_is_a_wrong_setting(mmpr: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.pairs\.image_root must be an existing folder, got '/nowhere'"):
        read(source(mmpr, image_root="/nowhere"))


def test_some_subsets_are_read_in_the_order_of_meta_json(mmpr: Path) -> None:
    assert questions(source(mmpr, subsets=["math"])) == ["<image>\nc", "b"]
    assert questions(source(mmpr, subsets=["math", "vqa"])) == ["<image>\na", "b", "<image>\nc", "b"]


def test_an_unknown_subset_is_a_wrong_setting_that_lists_the_likeliest_ones(mmpr: Path) -> None:
    list_subsets(mmpr, **{f"other{number}": {} for number in range(20)}, math=subset("math", 3))
    with pytest.raises(ConfigError, match=r"data\.pairs\.subsets.*got 'maths': there are math, .* and 13 more"):
        read(source(mmpr, subsets=["math", "maths"]))


def test_no_subset_at_all_is_a_wrong_setting(mmpr: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.pairs\.subsets must name at least one subset"):
        source(mmpr, subsets=[])


@pytest.mark.parametrize(
    ("repeat", "expected"),
    [(1, "abcd"), (1.0, "abcd"), (2, "abcdabcd"), (3.0, "abcd" * 3), (0.5, "ab"), (0.7, "ab"), (0, "")],
)
def test_rows_are_repeated_or_shared_out_as_internvl_does(
    mmpr: Path, repeat: float, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_rows(mmpr / "annotations" / "vqa.jsonl", *map(row, "abcd"))
    list_subsets(mmpr, vqa=subset("vqa", 4, repeat_time=repeat), math=subset("math", 3))
    rows = read(source(mmpr))
    assert "".join(pair.prompt.question for pair in rows.pairs[:-2]) == expected
    assert [pair.uid for pair in rows.pairs[:-2]] == list(range(len(expected)))
    assert rows.pairs[-1].uid == len(expected) + 2
    assert not caplog.text


@pytest.mark.parametrize("repeat", [2.5, -1, "2", True, None, float("nan")])
def test_a_repeat_time_without_meaning_is_refused(mmpr: Path, repeat: Any) -> None:
    list_subsets(mmpr, vqa=subset("vqa", 2, repeat_time=repeat))
    with pytest.raises(DataError, match=r"data\.pairs\.meta=.*subset 'vqa' has the repeat_time"):
        read(source(mmpr))


@pytest.mark.parametrize("repeat", [0.5, 1, 2])
def test_a_length_that_disagrees_is_mentioned(mmpr: Path, repeat: float, caplog: pytest.LogCaptureFixture) -> None:
    list_subsets(mmpr, math=subset("math", 66_457, repeat_time=repeat))
    with caplog.at_level(logging.WARNING):
        read(source(mmpr))
    assert "subset math: meta.json has length 66457" in caplog.text
    assert "has 3 rows" in caplog.text


def test_a_length_in_words_is_no_length(mmpr: Path, caplog: pytest.LogCaptureFixture) -> None:
    list_subsets(mmpr, math=subset("math", 3) | {"length": "number of samples"})
    assert len(read(source(mmpr)).pairs) == 2
    assert not caplog.text


def test_a_meta_json_that_is_not_there_is_a_wrong_setting(mmpr: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.pairs\.meta must be an existing file, got .*nowhere.*is not there"):
        read(MMPRFolder(str(mmpr / "nowhere.json")))
    with pytest.raises(ConfigError, match=r"is a folder with annotations, images, meta\.json"):
        read(MMPRFolder(str(mmpr)))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", r"must hold an object.*found \[\]"),
        ("{}", r"at least one subset, found \{\}"),
        ('{"vqa": 3}', r"subset 'vqa' must be an object.*found 3"),
        ('{"vqa": {"root": "images"}}', r"subset 'vqa' must have texts for root and annotation, found 'images', None"),
        ('{"vqa": {"root": 3, "annotation": "a.jsonl"}}', "must have texts for root and annotation, found 3"),
    ],
)
def test_a_meta_json_of_another_form_is_refused(mmpr: Path, text: str, complaint: str) -> None:
    (mmpr / "meta.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=rf"data\.pairs\.meta=.*{complaint}"):
        read(source(mmpr))


def test_a_missing_annotation_is_explained_before_any_row_is_read(mmpr: Path) -> None:
    (mmpr / "annotations" / "vqa.parquet").write_text("fails if it is read")
    list_subsets(mmpr, vqa=subset("vqa", 2, annotation="annotations/vqa.parquet"), geo=subset("geo", 2))
    with pytest.raises(DataError) as error:
        read(source(mmpr))
    for part in ("data.pairs.meta", "'geo'", "geo.jsonl", str(mmpr / "MMPR-v1.1"), str(mmpr / "annotations")):
        assert part in str(error.value)
