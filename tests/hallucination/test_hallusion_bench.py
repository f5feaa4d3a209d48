"""HallusionBench's three accuracies."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hallucination.hallusion_bench import (
    HallusionQuestion,
    Verdict,
    answer_rows,
    hallusion_scores,
    is_right,
    read_verdict,
)
from tests.assertions import assert_same

CHART = HallusionQuestion(category="VS", subcategory="chart", set_id="0", figure_id="1", question_id="0", is_yes=True)
RIGHT, WRONG, UNCERTAIN = Verdict.RIGHT, Verdict.WRONG, Verdict.UNCERTAIN


def question(name: str) -> HallusionQuestion:
    """Return the question named like ``VD/0/1/2``: category, set, figure, question."""
    category, set_id, figure_id, question_id = name.split("/")
    return replace(CHART, category=category, set_id=set_id, figure_id=figure_id, question_id=question_id)


def scores(answers: dict[str, Verdict]) -> list[float]:
    rows = answer_rows(list(answers.values()), [question(name) for name in answers])
    return [round(float(score), 6) for score in hallusion_scores(rows)]


def official_scores(answers: dict[str, Verdict]) -> list[float]:
    """The counting of HallusionBench's utils.py."""
    correct, figures, pairs = [], {}, {}
    for name, verdict in answers.items():
        category, set_id, figure_id, question_id = name.split("/")
        no_figure = category == "VS" and figure_id == "0"
        right = int(verdict) == 1 or (no_figure and int(verdict) == 2)
        correct.append(right)
        pairs.setdefault((category, set_id, question_id), []).append(right)
        if not no_figure:
            figures.setdefault((category, set_id, figure_id), []).append(right)
    groups = [[[c] for c in correct], list(figures.values()), list(pairs.values())]
    return [round(sum(all(g) for g in group) / max(len(group), 1), 6) for group in groups]


def test_by_hand() -> None:
    # Two figures with two questions each; the second question fails on the second figure.
    answers = {"VD/0/0/0": RIGHT, "VD/0/0/1": RIGHT, "VD/0/1/0": RIGHT, "VD/0/1/1": WRONG}
    assert scores(answers) == [0.75, 0.5, 0.5]


def test_uncertain_is_right_only_without_a_figure() -> None:
    assert is_right(UNCERTAIN, question("VS/0/0/0"))
    assert not is_right(UNCERTAIN, question("VS/0/1/0"))
    assert not is_right(UNCERTAIN, question("VD/0/0/0"))
    assert not is_right(WRONG, question("VS/0/0/0"))


def test_a_question_without_figure_is_part_of_its_group_but_no_figure() -> None:
    assert scores({"VS/0/0/0": WRONG, "VS/0/1/0": RIGHT}) == [0.5, 1.0, 0.0]
    assert scores({"VS/0/0/0": RIGHT}) == [1.0, 0.0, 1.0]


def test_categories_that_number_alike_are_kept_apart() -> None:
    assert scores({"VD/0/1/0": RIGHT, "VS/0/1/0": WRONG}) == [0.5, 0.5, 0.5]


def test_sets_and_subcategories_are_kept_apart() -> None:
    assert scores({"VD/0/1/0": RIGHT, "VD/1/1/0": WRONG}) == [0.5, 0.5, 0.5]
    rows = answer_rows([RIGHT, WRONG], [CHART, replace(CHART, subcategory="map")])
    assert_same(torch.stack(hallusion_scores(rows)), torch.full((3,), 0.5))


def test_a_question_met_twice_counts_once() -> None:
    rows = answer_rows([RIGHT, WRONG], [question("VD/0/0/0"), question("VD/0/1/0")])
    padded = torch.cat([rows, rows[:1]])
    assert_same(torch.stack(hallusion_scores(padded)), torch.stack(hallusion_scores(rows)))


def test_without_answers_every_score_is_zero() -> None:
    assert scores({}) == [0.0, 0.0, 0.0]


NAMES = st.builds("{}/{}/{}/{}".format, st.sampled_from(["VD", "VS"]), *[st.sampled_from("012")] * 3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(NAMES, st.sampled_from(Verdict), max_size=20), st.randoms(use_true_random=False))
def test_scores_equal_the_official_counting_in_any_order(answers: dict[str, Verdict], chance) -> None:
    names = list(answers)
    chance.shuffle(names)
    assert scores({name: answers[name] for name in names}) == official_scores(answers)


@pytest.mark.parametrize(
    ("completion", "is_yes", "verdict"),
    [
        ("Yes, it is.", True, RIGHT),
        ("Yes, it is.", False, WRONG),
        ("maybe not </think> No", False, RIGHT),
        ("I cannot tell without the chart.", True, UNCERTAIN),
        ("", False, UNCERTAIN),
    ],
)
def test_a_stated_yes_or_no_needs_no_judge(completion: str, is_yes: bool, verdict: Verdict) -> None:
    assert read_verdict(completion, replace(CHART, is_yes=is_yes)) == verdict
