"""Every preset in configs/datasets reads synthetic files in its layout: rows, images, answers, choices, texts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

import datamodules  # noqa: F401  (makes the classes of the presets known)
from algorithms import PreferencePair, Prompt
from datamodules.rows.prompt_template import PromptTemplate
from datamodules.sources.pair_source import PairSource
from datamodules.sources.prompt_folder import PromptFolder
from tests.datamodules.public_layouts import LAYOUTS, write_layout
from tests.datamodules.public_layouts.pieces import seed_of

PRESETS = Path("configs/datasets").absolute()
TEMPLATE = PromptTemplate(hint="Box it.", choice_hint="Box the letter.")


@dataclass
class Expected:
    """What a split reads: for each row the seeds of its images, its answer and its choices; the first prompt's text."""

    split: str
    images: list[list[int]]
    answers: list[str | None]
    text: str
    choices: list[int | None] = field(default_factory=list[int | None])
    """Number of choices of each row; empty: no row has any."""

    first: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further fields of the first prompt."""


PROMPTS = {
    "geometry3k": Expected(
        "train",
        [[0], [1], [2], [3]],
        ["3", "4", "5", "6"],
        "<image>In triangle 0, find x.\nBox it.",
        first={"key": "0"},
    ),
    "mmk12": Expected(
        "train",
        [[0], [1]],
        ["A", "$2\\sqrt{3}$"],
        "<image>\nAs shown, angle 0 is ( )\nA. $30^{\\circ}$\nB. $60^{\\circ}$\nBox it.",
        first={"key": "mmk12-0", "columns": {"subject": "math"}},
    ),
    "mm_eureka": Expected(
        "train",
        [[20], [21], [22]],
        ["$0 + 1$", "$1 + 1$", "$2 + 1$"],
        "<image>\nQuestion 0: what is $x_{0}$?\nBox it.",
        first={"system": "Think first."},
    ),
    "virl39k": Expected(
        "train",
        [[30], [32, 33], [34]],
        ["\\boxed{0}", "\\boxed{1}", "\\boxed{2}"],
        "<image>\nWhat is 0?\nBox it.",
        first={"key": "Processed-0"},
    ),
    "verl": Expected(
        "train",
        [[40], [41]],
        ["40", "41"],
        "<image>Find y40. Answer within \\boxed{}.\nBox it.",
        first={"system": "You first think.", "key": "0"},
    ),
    "mathvista": Expected(
        "test",
        [[61], [62], [63]],
        ["B", "1.2 m", "7"],
        "Is it larger?\nA. Yes\nB. No\nBox the letter.",
        [2, None, None],
        {"key": "1", "choices": ("Yes", "No")},
    ),
    "mathvision": Expected(
        "test",
        [[71], [72], [73]],
        ["D", "C", "12"],
        "Which picture fits?\n<image>\nA\nB\nC\nD\nE\nBox the letter.",
        [5, 3, None],
    ),
    "mmmu": Expected(
        "val",
        [[82, 81], [83, 84], [85]] * 2,
        ["B", "A", "26,000"] * 2,
        "<image> and <image>: which?\nA. left\nB. it's right\nBox the letter.",
        [2, 3, None] * 2,
        {"key": "validation_Math_1"},
    ),
    "mmmu_pro": Expected(
        "test",
        [[91], [93, 92]],
        ["J", "B"],
        "What does <image> show?\n"
        + "\n".join(f"{'ABCDEFGHIJ'[n]}. curve {n}" for n in range(10))
        + "\nBox the letter.",
        [10, 2],
    ),
    "mmmu_pro_vision": Expected(
        "test", [[94], [95]], ["A", "A"], "Answer the question in the picture.\nA. 3\nB. 4\nBox the letter.", [2, 2]
    ),
    "olympiadbench": Expected(
        "test",
        [[101], [102]],
        ["12 cm^2", "$3$, $5$"],
        "See <image>. Find the area.\nBox it.",
        first={"tolerance": 0.1, "key": "1"},
    ),
    "aime24": Expected("test", [[], [], []], ["001", "002", "003"], "Let $a_{0} = 0$. Find $a_{0} + 1$.\nBox it."),
    "pope": Expected(
        "test", [[110], [111], [112]], ["yes", "no", "yes"], "Is there a dog in the image?\nBox it.", first={"key": "0"}
    ),
    "hallusion_bench": Expected(
        "test",
        [[120], [120], []],
        ["yes", "no", "no"],
        "Is circle 0 larger?\nBox it.",
        first={"key": "HallusionBench-0"},
    ),
    "amber": Expected(
        "test", [[5], [6]], ["yes", "no"], "Is the sky sunny in this image?\nBox it.", first={"key": "1005"}
    ),
    "amber_generative": Expected(
        "test", [[1]], [None], "Describe this image.\nBox it.", first={"facts": ("beach", "sea"), "key": "1"}
    ),
    "amber_both": Expected(
        "test",
        [[1], [5], [6]],
        [None, "yes", "no"],
        "Describe this image.\nBox it.",
        first={"facts": ("beach", "sea"), "key": "1"},
    ),
    "coco_captions": Expected("val", [[140], [140], [141], [141]], [None] * 4, "Describe the image.\nBox it."),
    "coco_objects": Expected(
        "test",
        [[145], [146]],
        [None, None],
        "Please describe this image in detail.\nBox it.",
        first={"key": "145", "facts": ("bicycle", "dog", "person")},
    ),
}


def source_of(preset: str, kind: str, base: type) -> Any:
    """The source that a preset describes, made by the parser of the command line."""
    content = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text())["data"]["init_args"][kind]
    parser = ArgumentParser()
    parser.add_argument("--it", type=base)
    return parser.instantiate(parser.parse_object({"it": content})).it


@pytest.fixture
def in_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seeds(prompt: Prompt) -> list[int]:
    return [seed_of(image.load()) for image in prompt.images]


def test_every_preset_has_a_layout_and_every_layout_a_preset() -> None:
    assert sorted(LAYOUTS) == sorted(file.stem for file in PRESETS.glob("*.yaml"))


@pytest.mark.parametrize("preset", PROMPTS)
def test_a_preset_reads_every_row_with_its_images_answer_and_choices(preset: str, in_data_folder: Path) -> None:
    write_layout(preset, in_data_folder / "data")
    expected = PROMPTS[preset]
    rows = source_of(preset, "source", PromptFolder).read(expected.split, max_image_pixels=10**6)
    assert rows.rejections == ()
    assert [seeds(prompt) for prompt in rows.prompts] == expected.images
    assert [prompt.answer for prompt in rows.prompts] == expected.answers
    numbers = [len(prompt.choices) if prompt.choices else None for prompt in rows.prompts]
    assert numbers == (expected.choices or [None] * len(rows.prompts))
    assert TEMPLATE.applied(rows.prompts[0]).question == expected.text
    assert {name: getattr(rows.prompts[0], name) for name in expected.first} == expected.first


@pytest.mark.parametrize("preset", PROMPTS)
def test_a_preset_shows_every_choice_and_a_mark_for_every_image_of_it(preset: str, in_data_folder: Path) -> None:
    write_layout(preset, in_data_folder / "data")
    rows = source_of(preset, "source", PromptFolder).read(PROMPTS[preset].split, max_image_pixels=10**6)
    for prompt in map(TEMPLATE.applied, rows.prompts):
        assert all(choice in prompt.question for choice in prompt.choices or ())
        assert prompt.question.count("<image>") in (0, len(prompt.images))


def test_a_precision_of_one_decimal_allows_half_of_it(in_data_folder: Path) -> None:
    write_layout("mathvista", in_data_folder / "data")
    rows = source_of("mathvista", "source", PromptFolder).read("test", max_image_pixels=10**6)
    assert [prompt.tolerance for prompt in rows.prompts] == [None, 0.05, None]


def test_captions_are_completions_to_imitate(in_data_folder: Path) -> None:
    write_layout("coco_captions", in_data_folder / "data")
    rows = source_of("coco_captions", "source", PromptFolder).read("train", max_image_pixels=10**6)
    assert [prompt.columns["completion"] for prompt in rows.prompts] == [
        f"Caption {c} of {n}." for n in (130, 131) for c in range(2)
    ]


@dataclass
class ExpectedPairs:
    """For each pair the seeds of its images and its completions; the first question."""

    images: list[list[int]]
    completions: list[tuple[str, str]]
    question: str


PAIRS = {
    "mmpr": ExpectedPairs(
        [[150], [151], []], [("Answer: 0", "Answer: 9"), ("Answer: 1", "Answer: 9"), ("2", "3")], "<image>\nWhat is 0?"
    ),
    "rlaif_v": ExpectedPairs(
        [[160], [161], [162], [163]], [("A lake.", "A lake and a dog.")] * 4, "What is in picture 00?"
    ),
    "vl_rewardbench": ExpectedPairs(
        [[170], [171]], [("A boat.", "A car."), ("A car.", "A boat.")], "What is shown in 0?"
    ),
}


@pytest.mark.parametrize("preset", PAIRS)
def test_a_preset_reads_every_pair_with_its_images(preset: str, in_data_folder: Path) -> None:
    write_layout(preset, in_data_folder / "data")
    split = "test" if preset == "vl_rewardbench" else "train"
    rows = source_of(preset, "pairs", PairSource).read(split, max_image_pixels=10**6)
    assert rows is not None
    assert rows.rejections == ()
    pairs: tuple[PreferencePair, ...] = rows.pairs
    assert [seeds(pair.prompt) for pair in pairs] == PAIRS[preset].images
    assert [(pair.chosen, pair.rejected) for pair in pairs] == PAIRS[preset].completions
    assert pairs[0].prompt.question == PAIRS[preset].question


def test_presets_together_expect_all_layouts() -> None:
    assert sorted([*PROMPTS, *PAIRS]) == sorted(LAYOUTS)
