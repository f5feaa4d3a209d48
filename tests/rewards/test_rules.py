"""Rule rewards: accuracy and format."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.errors import ConfigError
from algorithms.records import FinishReason
from rewards.rules import AccuracyReward, FormatReward, extract_answer
from tests.rewards.hand_made import answered, completion, prompt

WELL_FORMED = "I see two circles.</think>\nAnswer: \\boxed{2}"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (WELL_FORMED, "2"),
        (f"<think>{WELL_FORMED}", "2"),
        (r"</think> \boxed{ \frac{1}{2} }", r"\frac{1}{2}"),
        (r"\boxed{1}</think>\boxed{2}", "2"),
        (r"a</think>\boxed{1}</think>\boxed{2}", "2"),
        (r"a</think>\boxed{2} that is \boxed{2.0}", "2.0"),
        (r"a</think>\boxed{B} that is \boxed{B. 12 cm}", "B. 12 cm"),
        (r"\boxed{2}", None),  # never closed: all of it is reasoning
        (r"<think>\boxed{2}", None),
        (r"\boxed{2}</think> two", None),
        (r"a</think> so <think> or \boxed{2}", None),
        (r"a</think>\boxed{1} or \boxed{2}", None),
        (r"a</think>\boxed{2} or \boxed{1} or \boxed{2}", None),
        (r"a</think>\boxed{12", None),
        (r"a</think>\boxed{2} or \boxed{12", None),
        (r"a</think>\boxed{}", None),
        ("a</think> 2", None),
        ("", None),
    ],
)
def test_the_answer_is_the_one_box_after_the_reasoning(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [(r"\boxed{2}", "2"), (r"\boxed{1}</think>\boxed{2}", "2"), (r"<think>\boxed{2}", None)],
)
def test_a_model_that_does_not_reason_first_answers_at_once(text: str, answer: str | None) -> None:
    assert extract_answer(text, needs_reasoning=False) == answer


def test_right_answers_score_one_and_wrong_ones_zero() -> None:
    completions = [answered(answer) for answer in ("3", "3.0", "4", "three")]
    assert AccuracyReward()([prompt("3")] * 4, completions) == [1.0, 1.0, 0.0, 0.0]


def test_each_completion_is_compared_with_its_own_prompt() -> None:
    assert AccuracyReward()([prompt("3"), prompt("B")], [answered("(B)"), answered("(B)")]) == [0.0, 1.0]


@pytest.mark.parametrize("gold", [None, "", "  "])
def test_accuracy_does_not_apply_without_a_known_answer(gold: str | None) -> None:
    assert AccuracyReward()([prompt(gold)], [answered("3")]) == [None]


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_a_box_in_reasoning_that_never_ends_is_no_answer(finish_reason: FinishReason) -> None:
    texts = [r"so \boxed{3}", r"<think> so \boxed{3}"]
    completions = [completion(text, finish_reason) for text in texts]
    assert AccuracyReward()([prompt("3")] * 2, completions) == [0.0, 0.0]


def test_models_without_reasoning_can_be_scored_too() -> None:
    assert AccuracyReward(needs_reasoning=False)([prompt("3")], [completion(r"\boxed{3}")]) == [1.0]


def test_no_worker_starts_while_the_fast_rules_decide() -> None:
    reward = AccuracyReward()
    reward([prompt("3")] * 3, [answered("3"), answered("4"), answered("three")])
    assert not reward.worker.is_running


def test_mathematics_is_compared_symbolically() -> None:
    reward = AccuracyReward()
    completions = [answered(answer) for answer in (r"\sqrt{12}", r"\sqrt{13}", r"2\sqrt{3}\text{ cm}")]
    assert reward([prompt(r"2\sqrt{3}")] * 3, completions) == [1.0, 0.0, 1.0]


def test_a_hanging_comparison_fails_once_for_all_siblings_and_spares_the_others() -> None:
    reward = AccuracyReward(timeout_seconds=0.3)
    tower, right = answered("9^{9^{9^9}}"), answered("1+x")
    scores = reward([prompt("x+1")] * 4, [tower, right, tower, answered("y")])
    assert [score is not None and math.isnan(score) for score in scores] == [True, False, True, False]
    assert (scores[1], scores[3]) == (1.0, 0.0)
    assert reward.worker.num_starts == 2


@pytest.mark.parametrize("timeout_seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_comparison_without_a_time_limit_is_refused(timeout_seconds: float) -> None:
    with pytest.raises(ConfigError, match=rf"timeout_seconds .* got {timeout_seconds}"):
        AccuracyReward(timeout_seconds=timeout_seconds)


@pytest.mark.parametrize(
    ("text", "finish_reason", "score"),
    [
        (WELL_FORMED, "stop", 1.0),
        (f"<think>\n{WELL_FORMED}\n", "stop", 1.0),
        (f"\n<think>{WELL_FORMED}", "stop", 1.0),
        (r"a</think>\boxed{\frac{1}{2}}", "stop", 1.0),
        (WELL_FORMED, "length", 0.0),
        (r"a \boxed{2}", "stop", 0.0),  # never closed
        (r"</think>\boxed{2}", "stop", 0.0),  # empty reasoning
        (r"<think> </think>\boxed{2}", "stop", 0.0),
        (r"a</think>b</think>\boxed{2}", "stop", 0.0),  # two blocks
        (r"<think>a</think><think>b</think>\boxed{2}", "stop", 0.0),
        (r"<think><think>a</think>\boxed{2}", "stop", 0.0),
        (r"a<think>b</think>\boxed{2}", "stop", 0.0),  # the opening tag is not at the start
        (r"a</think>\boxed{2}<think>", "stop", 0.0),
        (r"so \boxed{2}</think>\boxed{2}", "stop", 0.0),  # a box inside the reasoning
        (r"so \boxed{2</think>\boxed{2}", "stop", 0.0),
        (r"a</think>\boxed{2}\boxed{2}", "stop", 0.0),  # two boxes
        (r"a</think>\boxed{ }", "stop", 0.0),
        (r"a</think>\boxed{2", "stop", 0.0),
        ("a</think>2", "stop", 0.0),
        ("", "stop", 0.0),
    ],
)
def test_the_format_is_one_reasoning_and_one_box_after_it(text: str, finish_reason: FinishReason, score: float) -> None:
    assert FormatReward()([prompt(None)], [completion(text, finish_reason)]) == [score]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["<think>", "</think>", r"\boxed{", "}", "2", " ", "\n"]), max_size=9).map("".join))
def test_whoever_has_the_right_form_has_an_answer(text: str) -> None:
    if FormatReward()([prompt(None)], [completion(text)]) == [1.0]:
        assert extract_answer(text) is not None


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", r"\boxed{", r"\boxed{1}", "{", "<", "a", r"\boxed{1} \boxed{2} "]
)
def test_a_degenerate_completion_of_64k_tokens_scores_zero_at_once(piece: str) -> None:
    completions = [completion("a</think>" + piece * 64_000), completion(piece * 64_000)]
    assert AccuracyReward()([prompt("3")] * 2, completions) == [0.0, 0.0]
    assert FormatReward()([prompt("3")] * 2, completions) == [0.0, 0.0]
