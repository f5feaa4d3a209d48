"""The process that compares mathematics and can be killed."""

import copy
import gc
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.answers.worker import ComparisonFailed, MathWorker

READY = "import sys\nprint('{\"is_ready\": true}', flush=True)\n"


@pytest.fixture(scope="module")
def worker() -> Iterator[MathWorker]:
    worker = MathWorker()
    yield worker
    worker.close()


@pytest.fixture
def scripted(tmp_path: Path) -> "type[MathWorker]":
    """Return what makes a worker that runs the given lines after saying that it is ready."""

    def make(body: str, *, start: str = READY, timeout_seconds: float = 5.0) -> MathWorker:
        program = tmp_path / "program.py"
        program.write_text(start + body)
        return MathWorker(timeout_seconds, program)

    return make  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x^2/3", r"\frac{x^2}{3}"),
        ("x^2+2x+1", "(x+1)^2"),
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
        ("1,2", "2,1"),
        ("x=2", "2"),
        (r"x>3", r"(3,\infty)"),
    ],
)
def test_equal_mathematics_is_the_same(worker: MathWorker, gold: str, answer: str) -> None:
    assert worker.compare(gold, answer) is True


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x+1", "x-1"),
        ("(1,2)", "(2,1)"),
        ("2", r"\pm 2"),
        ("1", "1,2"),
        (r"\pi", "3.14"),
        ("5", "5t"),  # math_verify's list of units holds t and ab
        ("5", "5ab"),
        ("2", "(("),  # an answer nobody can read is wrong
    ],
)
def test_other_mathematics_is_not(worker: MathWorker, gold: str, answer: str) -> None:
    assert worker.compare(gold, answer) is False


def test_a_gold_answer_nobody_can_read_is_a_failure_and_not_a_wrong_answer(worker: MathWorker) -> None:
    with pytest.raises(ComparisonFailed, match="cannot read the gold answer"):
        worker.compare("((", "2")
    assert worker.compare("x", "x") is True


def test_nothing_starts_before_the_first_comparison() -> None:
    assert not MathWorker().is_running


def test_a_hanging_comparison_is_killed_and_the_next_one_works() -> None:
    worker = MathWorker(timeout_seconds=0.3)
    with pytest.raises(ComparisonFailed, match=r"no reply within 0\.3 s"):
        worker.compare("1", "9^{9^{9^9}}")
    assert not worker.is_running
    assert worker.compare("x+1", "1+x") is True
    assert worker.num_starts == 2


def test_a_worker_that_dies_costs_one_comparison(scripted) -> None:
    worker = scripted("sys.stdin.readline()")
    for _ in range(2):
        with pytest.raises(ComparisonFailed, match="the worker died"):
            worker.compare("1", "x")
    assert worker.num_starts == 2


def test_a_worker_killed_while_idle_is_replaced_unnoticed(scripted) -> None:
    worker = scripted("for line in sys.stdin: print('{\"is_same\": true}', flush=True)")
    assert worker.compare("1", "x")
    worker.process.kill()
    worker.process.wait()
    assert worker.compare("1", "x")
    assert worker.num_starts == 2


def test_a_worker_that_cannot_start_says_why(scripted) -> None:
    worker = scripted("", start='print(\'{"error": "no module named math_verify"}\', flush=True)')
    with pytest.raises(ComparisonFailed, match="cannot start: no module named math_verify"):
        worker.compare("1", "x")


def test_what_libraries_print_does_not_disturb_the_replies(worker: MathWorker) -> None:
    assert worker.compare("x", '\\text{\u2028}\n{"is_same": true}\nx') in (True, False)
    assert worker.compare("x+1", "1+x") is True


def test_many_threads_share_one_process(worker: MathWorker) -> None:
    starts, verdicts = worker.num_starts, {}

    def compare(number: int) -> None:
        verdicts[number] = worker.compare("2x", f"x+{number}x")

    threads = [threading.Thread(target=compare, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == {number: number == 1 for number in range(8)}
    assert worker.num_starts == max(starts, 1)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda worker: pickle.loads(pickle.dumps(worker))])
def test_a_copy_has_its_own_process(worker: MathWorker, duplicate) -> None:
    assert worker.compare("x", "x")
    twin = duplicate(worker)
    assert not twin.is_running
    assert twin.timeout_seconds == worker.timeout_seconds


def test_the_process_ends_with_its_owner(scripted) -> None:
    worker = scripted("for line in sys.stdin: print('{\"is_same\": true}', flush=True)")
    worker.compare("1", "x")
    process = worker.process
    del worker
    gc.collect()
    assert process.poll() is not None
