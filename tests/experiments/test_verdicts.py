"""One rule turns numbers into verdicts."""

from dataclasses import replace

import pytest

from experiments.claims import Claim
from experiments.reproduce.verdicts import verdict
from tests.experiments.stored_by_hand import ACCURACY, ONE, claim, run, runs

LOW = [0.50, 0.60, 0.55]
HIGH = [0.60, 0.70, 0.66]


@pytest.mark.parametrize(
    ("one", "two", "answer"),
    [
        (LOW, HIGH, "shown"),
        (HIGH, LOW, "contradicted"),
        (LOW, [0.60, 0.55, 0.57], "open"),
        (LOW[:2], HIGH[:2], "not judged"),
        (LOW[:1], HIGH[:1], "not judged"),
        ([], HIGH, "not judged"),
    ],
)
def test_a_sentence_is_answered_by_the_interval_of_its_differences(one, two, answer) -> None:
    (judged,) = verdict(claim("higher"), runs(one, two)).judged
    assert judged.answer == answer


def test_differences_are_taken_seed_by_seed_of_the_seeds_that_both_have() -> None:
    # Seeds differ by 40 points, and the arms by 1: only pairs can show it.
    (judged,) = verdict(claim("higher"), runs([0.2, 0.4, 0.6, 0.9], [0.21, 0.41, 0.611])).judged
    assert list(judged.by_seed) == [0, 1, 2]
    assert judged.answer == "shown"


@pytest.mark.parametrize(
    ("expected", "one", "two", "word", "confidence"),
    [
        (("higher", "higher"), LOW, HIGH, "holds", "medium"),
        (("higher", "lower"), LOW, HIGH, "holds in part", "medium"),
        (("lower",), LOW, HIGH, "does not hold", "medium"),
        (("higher",), LOW, LOW, "undecided", "low"),
        (("higher",), LOW[:2], HIGH[:2], "not judged", "none"),
        (("higher",), [*LOW, 0.4, 0.7], [*HIGH, 0.5, 0.8], "holds", "high"),
        ((), LOW, HIGH, "not testable here", "none"),
    ],
)
def test_a_verdict_and_its_confidence_follow_from_the_sentences(expected, one, two, word, confidence) -> None:
    found = verdict(claim(*expected), runs(one, two))
    assert (found.word, found.confidence) == (word, confidence)


def test_two_measures_of_one_run_can_be_compared() -> None:
    given: Claim = claim("lower")
    falls = replace(given.expectations[0], of=ONE.name, than=ONE.name, than_measure=replace(ACCURACY, at="start"))
    found = verdict(
        replace(given, expectations=(falls,)),
        {ONE.name: {seed: run(ONE, seed, 0.8, 0.9, 0.5 + seed / 100) for seed in range(3)}},
    )
    assert found.word == "holds"
    assert [round(value, 2) for value in found.judged[0].by_seed.values()] == [-0.3, -0.29, -0.28]
