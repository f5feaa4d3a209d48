"""The labelled set of hard pairs, tests/cases/answers.json: each has a label and the reason for it.

``docs/verifier.md`` has the policy behind labels that can be argued about.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewards.answers import Question, Reason, Verifier

CASES: list[dict[str, Any]] = json.loads(Path("tests/cases/answers.json").read_text())


@pytest.fixture(scope="module")
def verdicts() -> Iterator[list[Reason]]:
    verifier = Verifier(timeout_seconds=30.0, budget_seconds=120.0)
    yield verifier.judge_all(
        [
            Question(
                case["gold"],
                case["answer"],
                tuple(case["choices"]) if "choices" in case else None,
                case.get("tolerance"),
            )
            for case in CASES
        ]
    )
    verifier.close()


def test_the_set_is_large_and_every_label_has_a_reason() -> None:
    assert len(CASES) >= 400
    assert len(
        {(case["gold"], case["answer"], str(case.get("choices")), case.get("tolerance")) for case in CASES}
    ) == len(CASES)
    assert all(case["why"] for case in CASES)
    by_kind = {
        kind: [case["right"] for case in CASES if case["kind"] == kind] for kind in {case["kind"] for case in CASES}
    }
    assert len(by_kind) >= 15
    # Near misses and right answers of every kind.
    assert all(any(labels) and not all(labels) for labels in by_kind.values())


def test_no_wrong_answer_counts_as_right(verdicts: list[Reason]) -> None:
    pairs = [
        (case["gold"], case["answer"], str(v))
        for case, v in zip(CASES, verdicts, strict=True)
        if v.is_right and not case["right"]
    ]
    assert pairs == []


def test_nearly_every_verdict_is_right(verdicts: list[Reason]) -> None:
    wrong = [
        (case["gold"], case["answer"], str(verdict))
        for case, verdict in zip(CASES, verdicts, strict=True)
        if verdict.is_unknown or verdict.is_right != case["right"]
    ]
    assert len(wrong) <= 0.03 * len(CASES), wrong


def test_the_pairs_use_nearly_every_reason_of_an_answer(verdicts: list[Reason]) -> None:
    given = set(verdicts)
    right = {reason for reason in Reason if reason.is_right}
    assert right <= given
    assert {
        Reason.WRONG,
        Reason.SEVERAL_ANSWERS,
        Reason.UNIT_DIFFERS,
        Reason.UNIT_UNKNOWN,
        Reason.UNREADABLE_ANSWER,
    } <= given
