"""What is missing, double or shared between splits is said before training."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageDraw

from algorithms import ConfigError, DataError, PreferencePair, Prompt
from datamodules import MMPRFolder, PairDataModule, PreferenceFolder
from datamodules.prompts import PromptDataModule
from datamodules.reading import ReadingConfig
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.image_prints import alike_images, image_print
from datamodules.rows.prompt_rows import PromptRows, read_prompts
from datamodules.rows.prompt_template import PromptTemplate
from datamodules.sources.drawn_folder import DrawnFolder
from datamodules.sources.mmpr_writer import write_mmpr
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.findings import check_answers, warn_of_duplicates, warn_of_unknown_words
from datamodules.streams.overlap import overlap_of
from models import Policy
from rewards import AccuracyReward, FormatReward, RewardPart, WeightedReward
from tests.datamodules.public_layouts.pieces import json_lines

LONG = "In the figure the two circles touch each other at the point P and the line through P meets both again"


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A drawing of a few coloured boxes, another for each seed."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for box in range(4):
        x, y = (seed * 37 + box * 53) % 110, (seed * 23 + box * 31) % 80
        colour = ("red", "green", "blue", "orange")[(seed + box) % 4]
        draw.rectangle(tuple(v * size[0] // 160 for v in (x, y, x + 45, y + 35)), fill=colour)
    return image


def read(folder: Path, name: str, rows: list[dict[str, Any]], **columns: Any) -> PromptRows:
    json_lines(folder / f"{name}.jsonl", rows)
    return read_prompts(folder / f"{name}.jsonl", folder, max_image_pixels=10**7, columns=ColumnMap(**columns))


def module(**weights: float) -> Any:
    rewards = {"accuracy": AccuracyReward(), "format": FormatReward()}
    return SimpleNamespace(reward=WeightedReward({k: RewardPart(rewards[k], weight) for k, weight in weights.items()}))


def test_training_data_without_any_answer_is_refused_where_accuracy_is_rewarded(tmp_path: Path) -> None:
    rows = read(tmp_path, "train", [{"question": "?", "solution": "3"}] * 2)
    with pytest.raises(
        DataError, match=r"no row has an answer in 'answer'; columns found: question, solution; solution may"
    ):
        check_answers(rows, "train.jsonl", module(accuracy=1.0), is_trained_on=True)
    for other in (module(format=1.0), module(accuracy=0.0, format=1.0), None):
        check_answers(rows, "train.jsonl", other, is_trained_on=True)


def test_rows_without_an_answer_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = read(tmp_path, "train", [{"question": "?", "answer": "3"}, {"question": "?!"}])
    check_answers(rows, "train.jsonl", module(accuracy=1.0), is_trained_on=True)
    assert "1 of 2 rows have no answer" in caplog.text


@pytest.mark.parametrize(("answer", "why"), [("\\frac{1", "braces"), ("\\boxed{1} or \\boxed{2}", "several boxes")])
def test_answers_that_no_completion_could_be_compared_with_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: str, why: str
) -> None:
    rows = read(tmp_path, "train", [{"question": "?", "answer": "3"}, {"question": "?!", "answer": answer, "id": "x7"}])
    check_answers(rows, "train.jsonl", module(accuracy=1.0), is_trained_on=True)
    assert "1 of 2 answers cannot be compared" in caplog.text
    assert "row x7" in caplog.text
    assert why in caplog.text


def test_rows_that_ask_the_same_about_the_same_picture_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in (1, 2):
        scene(seed).save(tmp_path / f"{seed}.png")
    scene(1).save(tmp_path / "copy.png")
    images = ["1.png", "copy.png", "2.png", "1.png"]
    questions = ["How many?", "How  MANY?", "How many?", "Which?"]
    rows = read(tmp_path, "train", [{"question": q, "image": i} for q, i in zip(questions, images, strict=True)])
    warn_of_duplicates(rows, "train.jsonl")
    assert "1 of 4 rows ask what an earlier row asks about the same images: train-1 = train-0" in caplog.text


@pytest.mark.parametrize("change", ["jpeg", "half", "grown", "same"])
def test_a_picture_is_known_again_after_another_encoding_or_size(change: str) -> None:
    image = scene(3)
    if change == "jpeg":
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=75)
        changed = Image.open(stream)
    else:
        changed = image.resize({"half": (80, 60), "grown": (320, 240), "same": (160, 120)}[change])
    assert alike_images([image_print(image)], [image_print(changed)]) == [(0, 0)]


def test_other_pictures_and_other_colours_are_not_taken_for_each_other() -> None:
    prints = [image_print(scene(seed)) for seed in range(40)]
    colours = [image_print(Image.new("RGB", (40, 40), colour)) for colour in ("red", "green", "blue", "white")]
    everything = prints + colours
    assert alike_images(everything, everything) == [(i, i) for i in range(len(everything))]


def test_a_question_of_evaluation_that_training_shows_is_found_in_other_words_and_another_file(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    scene(1).save(tmp_path / "a.jpg", quality=80)
    scene(2).save(tmp_path / "b.png")
    training = read(tmp_path, "train", [{"question": f"{LONG}. Find x.", "image": "a.png"}, {"question": LONG}])
    rows = [
        {"question": f"{LONG}! Find y.", "image": "a.jpg", "id": "same picture, same text"},
        {"question": "What is red?", "image": "a.png", "id": "same picture, other text"},
        {"question": f"{LONG}. Find x.", "image": "b.png", "id": "other picture, same text"},
        {"question": LONG.upper(), "id": "no picture, same text"},
        {"question": "How much is it?", "id": "no picture, other text"},
    ]
    found = overlap_of(training, read(tmp_path, "val", rows))
    assert found.same == (("same picture, same text", "train-0"), ("no picture, same text", "train-1"))
    assert found.same_image == (("same picture, other text", "train-0"),)


def test_the_data_module_lists_the_overlap_of_training_and_validation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "val"):
        json_lines(tmp_path / f"{split}.jsonl", [{"question": LONG}, {"question": f"only in {split}"}])
    data = PromptDataModule(PromptFolder(str(tmp_path)))
    data.setup("fit")
    assert "1 of 2 prompts are training prompts too (val-0 = train-0)" in caplog.text
    assert json.loads((data.source.notes_folder / "overlap_val.json").read_text())["same"] == [["val-0", "train-0"]]


class SmallWorld(DrawnFolder):
    """Draws the same row for every split."""

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Any]]:
        yield {"question": LONG}, None


def test_a_world_that_is_drawn_here_lists_its_overlap_and_warns_of_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = SmallWorld("small", str(tmp_path), {}, world={})
    data = PromptDataModule(source)
    data.prepare_data()
    with caplog.at_level(logging.WARNING):
        data.setup("fit")
    assert caplog.text == ""
    assert json.loads((source.folder / "overlap_val.json").read_text())["same"] == [["val-0", "train-0"]]


def test_splits_that_share_nothing_are_not_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "val"):
        json_lines(tmp_path / f"{split}.jsonl", [{"question": f"only in {split}"}])
    with caplog.at_level(logging.WARNING):
        data = PromptDataModule(PromptFolder(str(tmp_path)))
        data.setup("fit")
    assert caplog.text == ""
    assert not (data.source.notes_folder / "overlap_val.json").exists()


def test_prompts_are_asked_in_the_template_of_the_config(tmp_path: Path) -> None:
    for split in ("train", "val"):
        json_lines(tmp_path / f"{split}.jsonl", [{"question": f"{split}?", "choices": ["x", "y"], "answer": "y"}])
    source = PromptFolder(str(tmp_path), columns=ColumnMap(choices="choices"))
    data = PromptDataModule(source, ReadingConfig(template=PromptTemplate(system="Think.", hint="Box it.")))
    data.setup("fit")
    prompt = data.prompts["train"][0]
    assert (prompt.system, prompt.question, prompt.answer) == ("Think.", "train?\nA. x\nB. y\nBox it.", "B")


def test_a_file_of_which_no_row_can_be_used_names_its_columns(tmp_path: Path) -> None:
    json_lines(tmp_path / "test.jsonl", [{"problem": "?", "solution": "3"}])
    with pytest.raises(DataError, match="1 empty question; columns found: problem, solution"):
        PromptDataModule(PromptFolder(str(tmp_path))).setup("test")


class WithPolicy:
    """A module with the tokenizer of the shapes world."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    @property
    def loaded_policy(self) -> Policy:
        return self._policy


@pytest.mark.parametrize(
    ("question", "is_told"), [("<image> how many red ?", False), ("In triangle ABC, find x.", True)]
)
def test_words_that_the_tokenizer_does_not_know_are_told(
    tmp_path: Path, policy: Policy, caplog: pytest.LogCaptureFixture, question: str, is_told: bool
) -> None:
    scene(1).save(tmp_path / "1.png")
    rows = read(tmp_path, "train", [{"question": question, "image": "1.png"}])
    warn_of_unknown_words(rows, "train.jsonl", WithPolicy(policy))
    assert ("the tokenizer of the policy does not know" in caplog.text) == is_told


def test_a_template_for_pairs_of_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.reading\.template must be left out with PairDataModule"):
        PairDataModule(PreferenceFolder(str(tmp_path)), reading=ReadingConfig(template=PromptTemplate(hint="Box it.")))


def test_the_system_turn_of_a_pair_is_written_and_read_again(tmp_path: Path) -> None:
    pair = PreferencePair(uid=0, prompt=Prompt(uid=0, key="p", question="?", system="Think."), chosen="a", rejected="b")
    write_mmpr(tmp_path / "pairs", [pair], image_root=tmp_path, name="toy")
    rows = MMPRFolder(str(tmp_path / "pairs" / "meta.json")).read("train", max_image_pixels=1)
    assert rows is not None
    assert [read.prompt.system for read in rows.pairs] == ["Think."]
