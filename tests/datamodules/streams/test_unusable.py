"""A row that a model cannot read costs that row, by reason, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from algorithms import ConfigError, PreferencePair, Prompt, PromptError
from datamodules.rows.pair_rows import PairRows
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import Rejection, count_reasons
from datamodules.streams.unusable import reject_unusable_pairs, reject_unusable_prompts

PROMPTS = tuple(Prompt(uid=uid, key=f"row-{uid}", question="x " * (uid + 1)) for uid in range(4))
BROKEN: dict[str, Callable[[], Exception]] = {
    "a processor that runs out of marks": lambda: StopIteration(),
    "an aspect ratio": lambda: ValueError("absolute aspect ratio must be smaller than 200, got 500.0\nand more"),
    "a palette": lambda: OverflowError(),
    "a template": lambda: RecursionError("too deep"),
    "an image": lambda: PromptError("row-2", "corrupt image", "image 1: no"),
}


class Counter:
    """A module that counts words, and fails on some prompts."""

    longest_prompt: int | None = None

    def __init__(self, error: Exception | None = None, failing: tuple[int, ...] = (2,)) -> None:
        self.error, self.failing = error, failing

    def prompt_length(self, prompt: Prompt) -> int:
        if self.error is not None and prompt.uid in self.failing:
            raise self.error
        return len(prompt.question.split())

    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> tuple[str, str] | None:
        self.prompt_length(pair.prompt)
        return None


def rows() -> PromptRows:
    return PromptRows(PROMPTS, (Rejection(4, "row-4", "empty question", "''"),), 5)


def uids(prompts: Any) -> list[int]:
    return [prompt.uid for prompt in prompts]


@pytest.mark.parametrize("what", BROKEN)
def test_a_prompt_on_which_a_module_fails_is_left_out_and_listed(what: str) -> None:
    left = reject_unusable_prompts(rows(), None, Counter(BROKEN[what]()))
    assert uids(left.prompts) == [0, 1, 3]
    assert [rejection.row for rejection in left.rejections] == [2, 4]
    assert len(left.prompts) + len(left.rejections) == left.num_rows
    assert "\n" not in left.rejections[0].detail


def test_reasons_are_those_of_the_encoder_where_it_gives_one() -> None:
    left = reject_unusable_prompts(rows(), None, Counter(BROKEN["an image"](), failing=(1, 2)))
    assert count_reasons(left.rejections) == {"corrupt image": 2, "empty question": 1}
    left = reject_unusable_prompts(rows(), None, Counter(BROKEN["an aspect ratio"]()))
    assert left.rejections[0].reason == "the model cannot read it"
    assert left.rejections[0].detail == "ValueError: absolute aspect ratio must be smaller than 200, got 500.0"


def test_a_wrong_setting_is_no_fault_of_a_row() -> None:
    with pytest.raises(ConfigError, match="a setting"):
        reject_unusable_prompts(rows(), None, Counter(ConfigError("a setting")))


def test_a_model_that_cannot_be_built_is_no_fault_of_a_row() -> None:
    class Unbuilt(Counter):
        @property
        def longest_prompt(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
            raise OSError("no such weights")

        def configure_model(self) -> None:
            raise OSError("no such weights")

    with pytest.raises(OSError, match="no such weights"):
        reject_unusable_prompts(rows(), None, Unbuilt())
    with pytest.raises(OSError, match="no such weights"):
        reject_unusable_pairs(PairRows((), (), 0), None, Unbuilt())


@pytest.mark.parametrize(
    ("max_tokens", "longest", "kept", "words"),
    [
        (2, None, [0, 1], "3 tokens, data.reading.max_prompt_tokens is 2"),
        (None, 3, [0, 1, 2], "4 tokens, the model reads 3 with room for a completion"),
        (3, 2, [0, 1], "3 tokens, the model reads 2 with room for a completion"),
        (2, 3, [0, 1], "3 tokens, data.reading.max_prompt_tokens is 2"),
    ],
)
def test_a_prompt_longer_than_the_model_reads_is_left_out_like_one_longer_than_the_limit(
    max_tokens: int | None, longest: int | None, kept: list[int], words: str
) -> None:
    module = Counter()
    module.longest_prompt = longest
    left = reject_unusable_prompts(rows(), max_tokens, module)
    assert uids(left.prompts) == kept
    assert (left.rejections[0].reason, left.rejections[0].detail) == ("too many tokens", words)


@pytest.mark.parametrize("what", BROKEN)
def test_a_pair_on_whose_prompt_a_module_fails_is_left_out_and_listed(what: str) -> None:
    pairs = tuple(PreferencePair(uid=p.uid, prompt=p, chosen="a", rejected="b") for p in PROMPTS)
    left = reject_unusable_pairs(PairRows(pairs, (), 4), None, Counter(BROKEN[what]()))
    assert [pair.uid for pair in left.pairs] == [0, 1, 3]
    assert [rejection.row for rejection in left.rejections] == [2]


def test_rows_are_kept_where_nobody_can_judge_them() -> None:
    assert reject_unusable_prompts(rows(), None, object()).prompts == PROMPTS
