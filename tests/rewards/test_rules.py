"""Rule rewards: accuracy and format."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.errors import ConfigError
from algorithms.records import FinishReason
from rewards.answers import Reason, read_answer
from rewards.rules import AccuracyReward, FormatReward
from tests.rewards.hand_made import answered, completion, prompt

WELL_FORMED = "I see two circles.</think>\nAnswer: \\boxed{2}"


def test_right_answers_score_one_and_wrong_ones_zero() -> None:
    completions = [answered(answer) for answer in ("3", "3.0", "4", "thirteen")]
    assert AccuracyReward()([prompt("3")] * 4, completions) == [1.0, 1.0, 0.0, 0.0]


def test_each_completion_is_compared_with_its_own_prompt() -> None:
    assert AccuracyReward()([prompt("3"), prompt("B")], [answered("(B)"), answered("(B)")]) == [0.0, 1.0]


def test_an_answer_that_equals_any_spelling_of_the_gold_is_right() -> None:
    spelled = prompt("NYC", aliases=("New York City", "New York"))
    completions = [answered(answer) for answer in ("new york", "NYC", "Boston")]
    assert AccuracyReward()([spelled] * 3, completions) == [1.0, 1.0, 0.0]
    # A spelling that cannot be read leaves the others.
    unread = prompt("\\frac{1}{", aliases=("3",))
    scores = AccuracyReward()([unread] * 2, [answered("3"), answered("4")])
    assert scores[0] == 1.0
    assert math.isnan(scores[1] or 0.0)


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


def test_every_score_says_why() -> None:
    completions = [answered("3"), answered("4"), completion("a</think> 3"), completion("so 3")]
    scores = AccuracyReward()([prompt("3")] * 4, completions)
    assert [score.reason for score in scores] == ["right_text", "wrong", "no_box", "reasoning_not_closed"]


def test_options_and_tolerance_of_the_prompt_are_used() -> None:
    prompts = [prompt("B", choices=("12", "13")), prompt("B"), prompt("2.5", tolerance=0.1), prompt("2.5")]
    answers = [answered("13"), answered("13"), answered("2.55"), answered("2.55")]
    assert AccuracyReward()(prompts, answers) == [1.0, 0.0, 1.0, 0.0]


def test_no_worker_starts_while_the_fast_rules_decide() -> None:
    reward = AccuracyReward()
    reward([prompt("3")] * 3, [answered("3"), answered("4"), answered("three")])
    assert reward.verifier.workers == []


def test_mathematics_is_compared_symbolically() -> None:
    reward = AccuracyReward(timeout_seconds=30.0)
    completions = [answered(answer) for answer in (r"\sqrt{12}", r"\sqrt{13}", r"2\sqrt{3}\text{ cm}")]
    assert reward([prompt(r"2\sqrt{3}")] * 3, completions) == [1.0, 0.0, 1.0]


def test_a_hanging_comparison_is_unknown_and_spares_the_others() -> None:
    reward = AccuracyReward(timeout_seconds=0.5)
    tower, right = answered("9^{9^{9^9}}+x"), answered("x^2+2x+1-x^2-x")
    scores = reward([prompt("x+1")] * 4, [tower, right, tower, answered("3")])
    assert [score is not None and math.isnan(score) for score in scores] == [True, False, True, False]
    assert (scores[1], scores[3]) == (1.0, 0.0)
    assert scores[0].reason in ("timed_out", "comparison_failed")


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", ["timeout_seconds", "budget_seconds"])
def test_comparisons_without_a_time_limit_are_refused(name: str, seconds: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} .* got {seconds}"):
        AccuracyReward(**{name: seconds})


def test_no_workers_and_too_little_memory_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"num_workers .* at least 1, got 0"):
        AccuracyReward(num_workers=0)
    with pytest.raises(ConfigError, match=r"memory_megabytes .* at least 256, got 16"):
        AccuracyReward(memory_megabytes=16)


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
        (r"...</think>\boxed{2}", "stop", 0.0),  # reasoning without a word
        (r"a</think>b<THINK>c</THINK>\boxed{2}", "stop", 0.0),  # a second block in other letters
        (r"a < / think > b</think>\boxed{2}", "stop", 0.0),
        (r"a</think><thinking>b</thinking>\boxed{2}", "stop", 0.0),
        (r"so \fbox{2}</think>\boxed{2}", "stop", 0.0),  # other boxes inside the reasoning
        (r"so \boxed 2</think>\boxed{2}", "stop", 0.0),
        (r"a</think>\boxed{2} or \fbox{3}", "stop", 0.0),
        (r"a</think>\boxed{...}", "stop", 0.0),  # placeholders of an instruction
        (r"a</think>\boxed{your answer}", "stop", 0.0),
        (r"a</think>\boxed{$FINAL_ANSWER}", "stop", 0.0),
        (r"a</think>\boxed{$LETTER}", "stop", 0.0),
    ],
)
def test_the_format_is_one_reasoning_and_one_box_after_it(text: str, finish_reason: FinishReason, score: float) -> None:
    assert FormatReward()([prompt(None)], [completion(text, finish_reason)]) == [score]


def test_reasoning_that_only_repeats_the_prompt_has_not_the_form() -> None:
    question = "How many circles are there? First think about it in your mind, then put the final answer in a box."
    echoes = ["First think about it in your mind.", "How many circles are there?", question]
    completions = [completion(rf"{echo}</think>\boxed{{2}}") for echo in [*echoes, f"{question} I see two of them."]]
    assert FormatReward()([prompt(None, question=question)] * 4, completions) == [0.0, 0.0, 0.0, 1.0]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["<think>", "</think>", r"\boxed{", "}", "2", " ", "\n"]), max_size=9).map("".join))
def test_whoever_has_the_right_form_has_an_answer(text: str) -> None:
    if FormatReward()([prompt(None)], [completion(text)]) == [1.0]:
        assert not isinstance(read_answer(text), Reason)


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", r"\boxed{", r"\boxed{1}", "{", "<", "a", r"\boxed{1} \boxed{2} "]
)
def test_a_degenerate_completion_of_64k_tokens_scores_zero_at_once(piece: str) -> None:
    completions = [completion("a</think>" + piece * 64_000), completion(piece * 64_000)]
    assert AccuracyReward()([prompt("3")] * 2, completions) == [0.0, 0.0]
    assert FormatReward()([prompt("3")] * 2, completions) == [0.0, 0.0]
