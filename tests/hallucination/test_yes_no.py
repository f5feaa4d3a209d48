"""What a completion says to a yes/no question, and the scores of many."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hallucination.yes_no import answer_counts, answer_part, poll_answer, stated_answer, yes_no_scores
from tests.assertions import assert_same


def official_answer(text: str) -> str:
    """The rule of POPE's evaluate.py."""
    words = text.split(".")[0].replace(",", "").split(" ")
    return "no" if "No" in words or "not" in words or "no" in words else "yes"


@pytest.mark.parametrize(
    ("text", "is_yes"),
    [
        ("Yes", True), ("yes.", True), ("Yes, there is a dog. It is not small.", True), ("There is a dog.", True),
        ("No", False), ("no, there is none", False), ("There is not a dog", False), ("There is no dog. Yes.", False),
    ],
)  # fmt: skip
def test_the_first_sentence_decides_as_in_the_official_parser(text: str, is_yes: bool) -> None:
    assert poll_answer(text).is_yes is is_yes
    assert official_answer(text) == ("yes" if is_yes else "no")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["Yes", "yes", "No", "no", "not", "dog", "nothing", "The", "a", ",", "."]), max_size=8))
def test_on_plain_words_the_verdict_is_the_official_one(words: list[str]) -> None:
    text = " ".join(words).lstrip()
    assert poll_answer(text).is_yes == (official_answer(text) == "yes")


@pytest.mark.parametrize(
    "text", ["No!", "NO", "no\nThe image", "There isn't a dog", "It isn\u2019t", r"Answer: \boxed{no}"]
)
def test_a_plain_no_that_the_official_parser_takes_for_yes_is_a_no(text: str) -> None:
    assert official_answer(text) == "yes"
    assert poll_answer(text) == (False, True)


@pytest.mark.parametrize("text", ["", "   ", "...", "I am sure", "red-circle = 2", "nothing"])
def test_a_silent_yes_is_told_apart(text: str) -> None:
    assert poll_answer(text) == (True, False)


def test_reasoning_does_not_count() -> None:
    text = r"I see no dog, so no. Or not? </think> Answer: \boxed{ yes }"
    assert answer_part(text) == r" Answer: \boxed{ yes }"
    assert poll_answer(text) == (True, True)
    assert stated_answer(text) is True


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("Yes.", True), ("No, the lines are not equal, yes?", False), ("The answer is no.", False),
        ("I would say yes", True), ("It could be yes or no.", None), ("I am not sure.", None), ("", None),
        ("Uncertain", None), (r"\boxed{No}", False),
    ],
)  # fmt: skip
def test_a_stated_answer_opens_or_stands_alone(text: str, stated: bool | None) -> None:
    assert stated_answer(text) is stated


def test_scores_by_hand() -> None:
    is_yes = torch.tensor([True, True, True, False, False, False, False, False])
    truth = torch.tensor([True, True, False, True, True, True, False, False])
    counts = answer_counts(is_yes, truth)
    assert counts.tolist() == [2, 1, 2, 3]
    scores = yes_no_scores(counts)
    assert_same(
        torch.stack(scores), torch.tensor([4 / 8, 2 / 3, 2 / 5, 2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5), 3 / 8])
    )


def test_the_yes_ratio_is_over_what_was_said_not_over_the_right_answers() -> None:
    truth = torch.tensor([True, False] * 5)
    assert yes_no_scores(answer_counts(torch.ones(10, dtype=torch.bool), truth)).yes_ratio == 1.0
    assert yes_no_scores(answer_counts(torch.zeros(10, dtype=torch.bool), truth)).yes_ratio == 0.0


def test_without_answers_every_score_is_zero() -> None:
    assert yes_no_scores(torch.zeros(4, dtype=torch.long)) == (0.0,) * 5
    assert answer_counts(torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.bool)).tolist() == [0, 0, 0, 0]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=3))
def test_splits_are_scored_apart(rows: list[list[int]]) -> None:
    together = yes_no_scores(torch.tensor(rows))
    for position, row in enumerate(rows):
        alone = yes_no_scores(torch.tensor(row))
        assert [score[position] for score in together] == list(alone)
        assert all(0.0 <= score <= 1.0 for score in alone)
