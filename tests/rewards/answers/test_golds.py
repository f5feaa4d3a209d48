"""Golds that no answer can be compared with, found when data are read."""

import pytest

from rewards.answers import Verifier, gold_problem


@pytest.mark.parametrize(
    ("gold", "choices"),
    [
        ("12", None),
        (r"\frac{1}{2}", None),
        ("red circle", None),
        (r"\boxed{12}", None),
        ("AC", None),
        ("B", ("1", "2")),
        ("2", ("1", "2")),
        ("2.0", ("1", "2")),
        ("A. 1", ("1", "2")),
        ("AB", ("1", "2", "3")),
    ],
)
def test_a_gold_that_can_be_read_has_no_problem(gold: str, choices: tuple[str, ...] | None) -> None:
    assert gold_problem(gold, choices) is None


@pytest.mark.parametrize(
    ("gold", "choices", "problem"),
    [
        (" ", None, "is no answer"),
        ("None", None, "is no answer"),
        ("nan", None, "is no answer"),
        ("1" * 1001, None, "has 1001 characters, more than 1000"),
        (r"\frac{1}{2", None, "braces that are not balanced"),
        (r"\boxed{1} or \boxed{2}", None, "several boxes"),
        ("E", ("1", "2", "3", "4"), "names the option E, but there are 4 choices, A to D"),
        ("5", ("1", "2", "3", "4"), "is none of the 4 choices: '5'"),
    ],
)
def test_a_problem_is_told_in_words(gold: str, choices: tuple[str, ...] | None, problem: str) -> None:
    assert problem in str(gold_problem(gold, choices))


def test_mathematics_that_cannot_be_parsed_is_found_by_the_workers() -> None:
    verifier = Verifier(num_workers=1)
    golds = [
        ("x+1", None),
        ("x+*1", None),
        (r"(1, \foo{3})", None),
        ("red", None),
        ("B", ("1", "2")),
        (r"2\sqrt{3} cm", None),
    ]
    problems = verifier.gold_problems(golds)
    assert [problem is not None for problem in problems] == [False, True, True, False, False, False]
    assert "cannot be read as mathematics" in str(problems[1])
    verifier.close()
