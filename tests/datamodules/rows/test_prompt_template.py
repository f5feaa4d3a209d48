"""What the policy is asked: the question, its choices, how to answer, a system turn."""

from typing import Any

import pytest

from algorithms import ConfigError, Prompt
from datamodules.rows.prompt_template import PromptTemplate


def asked(template: PromptTemplate, **fields: Any) -> str:
    return template.applied(Prompt(uid=0, key="0", **{"question": "Why?", **fields})).question


def test_without_settings_a_prompt_is_asked_as_it_stands() -> None:
    prompt = Prompt(uid=0, key="0", question=" Why? \n")
    assert PromptTemplate().applied(prompt) is prompt


def test_choices_are_shown_without_any_setting() -> None:
    assert asked(PromptTemplate(), choices=("x", "y")) == "Why?\nA. x\nB. y"


def test_every_part_stands_in_its_place() -> None:
    template = PromptTemplate(
        question="Q: {question}\n{choices}\nNow: {hint}", choice="({letter}) {text}", hint="Box it."
    )
    assert asked(template, choices=("x", "y")) == "Q: Why?\n(A) x\n(B) y\nNow: Box it."


def test_the_hint_stands_at_the_end_and_choices_may_have_their_own() -> None:
    template = PromptTemplate(hint="Box the number.", choice_hint="Box the letter.")
    assert asked(template) == "Why?\nBox the number."
    assert asked(template, choices=("x", "y")) == "Why?\nA. x\nB. y\nBox the letter."


def test_braces_of_questions_and_hints_are_text() -> None:
    template = PromptTemplate(hint="Put it in \\boxed{}.")
    assert (
        asked(template, question="What is {hint} in \\frac{1}{2}?")
        == "What is {hint} in \\frac{1}{2}?\nPut it in \\boxed{}."
    )


def test_a_row_keeps_its_own_system_turn() -> None:
    template = PromptTemplate(system="Think.")
    systems = [template.applied(Prompt(uid=0, key="0", question="?", system=own)).system for own in ("", "Own.")]
    assert systems == ["Think.", "Own."]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"question": "{query}"}, "got {query}"),
        ({"question": "no place"}, "must hold {question} once"),
        ({"question": "{question} {question}"}, "must hold {question} once"),
        ({"question": "{choices} {question}"}, "behind {question}"),
        ({"question": "<image>{question}"}, "must not hold <image>"),
        ({"choice": "{letter}"}, "must hold {text}"),
    ],
)
def test_a_template_that_would_lose_or_double_a_part_is_refused(settings: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as error:
        PromptTemplate(**settings)
    assert named in str(error.value)
