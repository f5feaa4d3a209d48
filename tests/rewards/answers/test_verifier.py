"""Many verdicts at once: parallel, bounded in time, the same whatever the number of workers."""

import copy
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rewards.answers import Question, Reason, Verifier
from rewards.answers.verifier import default_num_workers

HANGING = [Question("1", rf"10^{{10^{{10^{{{number}}}}}}} + x", None) for number in range(10, 14)]
MIXED = [
    Question("x+1", "1+x"),
    Question("x+1", "x-1"),
    Question("12", "12 cm"),
    Question(r"\sqrt{12}", r"2\sqrt{3}"),
    Question("2", "(("),
    Question("x+*1", "2"),
    Question("B", "text", ("12", "text")),
    Question("3.14", r"\pi", None, 0.01),
]
VERDICTS = [
    Reason.RIGHT_SYMBOLS,
    Reason.WRONG,
    Reason.RIGHT_UNIT,
    Reason.RIGHT_SYMBOLS,
    Reason.UNREADABLE_ANSWER,
    Reason.UNREADABLE_GOLD,
    Reason.RIGHT_CHOICE,
    Reason.RIGHT_SYMBOLS,
]
# Long for these comparisons, also on a busy machine; a hanging one costs it, so tests with one set less.
PATIENT = {"timeout_seconds": 30.0, "budget_seconds": 120.0}


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    verifier = Verifier(**PATIENT, num_workers=2)
    yield verifier
    verifier.close()


@pytest.fixture
def counting(tmp_path: Path) -> Callable[[], int]:
    """Return what counts the comparisons that reached the program of ``scripted_program``."""
    return lambda: len((tmp_path / "requests").read_text().splitlines()) if (tmp_path / "requests").exists() else 0


@pytest.fixture
def scripted_program(tmp_path: Path) -> Path:
    """Return a program that says True to everything but to answers with "hang", which it reports as timed out."""
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import json, sys, time
print('{{"is_ready": true}}', flush=True)
for line in sys.stdin:
    request = json.loads(line)
    with open({str(tmp_path / "requests")!r}, "a") as file:
        file.write(line)
    if "h" in request["answer"][0]:
        time.sleep(request["seconds"])
        print('{{"error": "timed_out"}}', flush=True)
    else:
        print('{{"is_same": true}}', flush=True)
"""
    )
    return program


def test_verdicts_come_in_the_order_of_the_questions(verifier: Verifier) -> None:
    assert verifier.judge_all(MIXED) == VERDICTS
    assert verifier.judge_all(MIXED[::-1]) == VERDICTS[::-1]


def test_the_number_of_workers_changes_no_verdict() -> None:
    one = Verifier(**PATIENT, num_workers=1)
    assert one.judge_all(MIXED) == VERDICTS
    one.close()


def test_nothing_starts_while_the_fast_rules_decide() -> None:
    verifier = Verifier()
    verifier.judge_all([Question("3", answer) for answer in ("3", "4", "three")])
    assert verifier.workers == []


def test_hanging_answers_hold_up_nobody_and_are_not_tried_again(scripted_program: Path, counting) -> None:
    verifier = Verifier(timeout_seconds=0.2, budget_seconds=60.0, num_workers=2, program=scripted_program)
    questions = [
        *(Question("x+1", f"h^{number}") for number in range(4)),
        *(Question("x+1", f"x^{n}") for n in range(4)),
    ]
    expected = [Reason.TIMED_OUT] * 4 + [Reason.RIGHT_SYMBOLS] * 4
    assert verifier.judge_all(questions) == expected
    first = counting()
    assert verifier.judge_all(questions) == expected
    # The four good ones only.
    assert counting() - first == 4
    verifier.close()


def test_the_good_ones_are_decided_before_the_budget_goes_to_the_hanging_ones(scripted_program: Path) -> None:
    verifier = Verifier(timeout_seconds=600.0, budget_seconds=1.5, num_workers=1, program=scripted_program)
    questions = [*(Question("x+1", f"h^{number}") for number in range(3)), Question("x+1", "x^2")]
    # 600 s for one of them would be seen here: a comparison ends with the budget.
    assert verifier.judge_all(questions) == [Reason.TIMED_OUT] * 3 + [Reason.RIGHT_SYMBOLS]
    verifier.close()


def test_what_the_budget_left_out_is_tried_in_the_next_rollout(scripted_program: Path) -> None:
    verifier = Verifier(timeout_seconds=0.3, budget_seconds=0.01, num_workers=1, program=scripted_program)
    assert verifier.judge_all([Question("x+1", "x^2")]) == [Reason.TIMED_OUT]
    verifier.budget_seconds = 60.0
    assert verifier.judge_all([Question("x+1", "x^2")]) == [Reason.RIGHT_SYMBOLS]
    verifier.close()


@pytest.mark.long
def test_real_hanging_answers_are_unknown_and_spare_the_others() -> None:
    verifier = Verifier(timeout_seconds=0.5, budget_seconds=60.0, num_workers=2)
    verdicts = verifier.judge_all([*HANGING, Question("12", "12 cm")])
    assert all(verdict.is_unknown for verdict in verdicts[:4])
    assert verdicts[4] is Reason.RIGHT_UNIT
    verifier.close()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda verifier: pickle.loads(pickle.dumps(verifier))])
def test_a_copy_has_its_own_processes(verifier: Verifier, duplicate) -> None:
    verifier.judge_all(MIXED)
    twin = duplicate(verifier)
    assert twin.workers == []
    assert (twin.timeout_seconds, twin.num_workers) == (30.0, 2)


def test_a_forked_process_starts_workers_of_its_own_and_spares_those_of_its_parent(verifier: Verifier) -> None:
    verifier.judge_all(MIXED)
    processes = [worker.process for worker in verifier.workers]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if verifier.judge_all(MIXED) == VERDICTS else 2
            verifier.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert verifier.judge_all(MIXED) == VERDICTS
    assert [worker.process for worker in verifier.workers] == processes


def test_ranks_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for ranks, workers in (("1", 6), ("2", 3), ("4", 1), ("64", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert default_num_workers() == workers
