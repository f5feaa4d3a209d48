"""Where the answer stands in a completion."""

import pytest

from rewards.answers import Reason, read_answer

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
        (r"a</think> \fbox{5}", "5"),
        (r"a</think> \boxed 5", "5"),
        (r"a</think> \boxed{\text{red}}", r"\text{red}"),
        (r"\boxed{2}", Reason.REASONING_NOT_CLOSED),
        (r"<think>\boxed{2}", Reason.REASONING_NOT_CLOSED),
        (r"a</think> so <think> or \boxed{2}", Reason.REASONING_NOT_CLOSED),
        (r"\boxed{2}</think> two", Reason.NO_BOX),
        ("a</think> 2", Reason.NO_BOX),
        (r"a</think>\boxed{}", Reason.NO_BOX),
        (r"a</think>\boxed{1} or \boxed{2}", Reason.SEVERAL_BOXES),
        (r"a</think>\boxed{2} or \boxed{1} or \boxed{2}", Reason.SEVERAL_BOXES),
        (r"a</think>\boxed{1} or \fbox{2}", Reason.SEVERAL_BOXES),
        (r"a</think>\boxed{12", Reason.BOX_NOT_CLOSED),
        (r"a</think>\boxed{2} or \boxed{12", Reason.BOX_NOT_CLOSED),
        ("", Reason.REASONING_NOT_CLOSED),
    ],
)
def test_the_answer_is_the_one_box_after_the_reasoning(text: str, answer: str | Reason) -> None:
    assert read_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{2}", "2"),
        (r"\boxed{1}</think>\boxed{2}", "2"),
        (r"<think>\boxed{2}", Reason.REASONING_NOT_CLOSED),
        ("2", Reason.NO_BOX),
    ],
)
def test_a_model_that_does_not_reason_first_answers_at_once(text: str, answer: str | Reason) -> None:
    assert read_answer(text, needs_reasoning=False) == answer


def test_a_bet_with_hundreds_of_boxes_is_seen_at_once() -> None:
    boxes = "".join(rf"\boxed{{x^{number}+{'a' * 500}}}" for number in range(900))
    assert read_answer(f"a</think>{boxes}") is Reason.SEVERAL_BOXES
