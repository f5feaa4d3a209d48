"""The process that compares expressions and can be killed."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rewards.answers.equivalence import Expressions
from rewards.answers.reasons import Reason, Unknown
from rewards.answers.symbols.workers import PROGRAM, Worker

READY = "import sys\nprint('{\"is_ready\": true}', flush=True)\n"
ECHO = "for line in sys.stdin: print('{\"is_same\": true}', flush=True)"
HANGS = r"10^{10^{10^{10}}} + x"
SECONDS = 30.0  # more than any of these comparisons needs, also on a busy machine


def same(worker: Worker, gold: str, answer: str, seconds: float = SECONDS) -> bool:
    return worker.compare(Expressions("value", (gold,), (answer,)), seconds)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie still has its number.
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0]


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker(memory_megabytes=1024)
    yield worker
    worker.close()


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[..., Worker]:
    """Return what makes a worker that runs the given lines after saying that it is ready."""

    def make(body: str, *, start: str = READY) -> Worker:
        program = tmp_path / "program.py"
        program.write_text(start + body)
        return Worker(1024, program)

    return make


@pytest.mark.parametrize(
    ("gold", "answer", "is_same"),
    [
        ("x^2+2x+1", "(x+1)^2", True),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}", False),
        ("R/2", "r/2", False),
        ("x", r"\sqrt{x^2}", False),
        ("1", "1+10^{-40}", False),
        (r"\sqrt{2}", r"\sqrt{2}+10^{-40}", False),
        ("0.1+0.2", "0.3", True),
        ("5", "5t", False),  # math_verify's list of units holds t and ab
        ("x'", "x", False),  # the parser alone drops the sign
        (r"\lg 100", "2", True),
    ],
)
def test_mathematics_is_compared_exactly(worker: Worker, gold: str, answer: str, is_same: bool) -> None:
    assert same(worker, gold, answer) is is_same


def test_equations_are_equal_up_to_a_factor_and_inequalities_up_to_a_positive_one(worker: Worker) -> None:
    line, turned, other = ("y", "2x+1"), ("2x+1", "y"), ("y", "2x-1")
    verdicts = [
        [worker.compare(Expressions(kind, line, sides), SECONDS) for sides in (line, turned, other)]
        for kind in ("equation", "inequality")
    ]
    assert verdicts == [[True, True, False], [True, False, False]]


def test_a_tolerance_is_absolute(worker: Worker) -> None:
    within = [worker.compare(Expressions("value", ("3.14",), (a,), "1/100"), SECONDS) for a in (r"\pi", r"\sqrt{10}")]
    assert within == [True, False]


@pytest.mark.parametrize(
    ("gold", "answer", "reason"), [("((", "2", Reason.UNREADABLE_GOLD), ("2", "((", Reason.UNREADABLE_ANSWER)]
)
def test_what_cannot_be_read_is_named(worker: Worker, gold: str, answer: str, reason: Reason) -> None:
    with pytest.raises(Unknown) as unknown:
        same(worker, gold, answer)
    assert unknown.value.reason is reason
    assert same(worker, "x", "x")


def test_nothing_starts_before_the_first_comparison() -> None:
    assert not Worker(1024).is_running


def test_a_hanging_comparison_ends_in_its_time_and_the_process_lives_on(worker: Worker) -> None:
    starts = worker.num_starts
    for hanging in (HANGS, "9^{9^{9^9}}"):
        with pytest.raises(Unknown) as unknown:
            same(worker, "1", hanging, seconds=0.2)
        assert unknown.value.reason in (Reason.TIMED_OUT, Reason.COMPARISON_FAILED)
    assert same(worker, "x+1", "1+x")
    # No import of SymPy for each of them.
    assert worker.num_starts == max(starts, 1)


def test_a_comparison_cannot_fill_the_memory(tmp_path: Path) -> None:
    # A program whose comparison asks for 2 GiB; the real one needs minutes to get there.
    body = PROGRAM.read_text().replace("seed(0)", '__import__("mmap").mmap(-1, 2 << 30).close()')
    greedy = tmp_path / "program.py"
    greedy.write_text(body)
    worker = Worker(memory_megabytes=1024, program=greedy)
    with pytest.raises(Unknown, match="Cannot allocate memory") as unknown:
        same(worker, "x+1", "1+x")
    assert unknown.value.reason is Reason.COMPARISON_FAILED
    worker.close()


def test_a_worker_that_dies_costs_one_comparison(scripted) -> None:
    worker = scripted("sys.stdin.readline()")
    for _ in range(2):
        with pytest.raises(Unknown, match="the worker died"):
            same(worker, "1", "x")
    assert worker.num_starts == 2


def test_a_worker_killed_while_idle_is_replaced_unnoticed(scripted) -> None:
    worker = scripted(ECHO)
    assert same(worker, "1", "x")
    worker.process.kill()
    worker.process.wait()
    assert same(worker, "1", "x")
    assert worker.num_starts == 2


def test_a_worker_that_cannot_start_says_why(scripted) -> None:
    worker = scripted("", start='print(\'{"error": "failed", "detail": "no module named math_verify"}\', flush=True)')
    with pytest.raises(Unknown, match="cannot start: no module named math_verify"):
        same(worker, "1", "x")


def test_what_libraries_print_does_not_disturb_the_replies(worker: Worker) -> None:
    with pytest.raises(Unknown):
        same(worker, "x", '\\text{\u2028}\n{"is_same": true}\nx')
    assert same(worker, "x+1", "1+x")


def test_the_process_ends_with_its_owner(scripted) -> None:
    worker = scripted(ECHO)
    same(worker, "1", "x")
    process = worker.process
    del worker
    gc.collect()
    assert process.poll() is not None


TRAINER = f"""
import threading, time
from rewards.answers.equivalence import Expressions
from rewards.answers.symbols.workers import PROGRAM, Worker
worker = Worker(1024)
worker.compare(Expressions("value", ("x+1",), ("1+x",)), 30.0)
print(worker.process.pid, flush=True)
worker.compare(Expressions("value", ("1",), ({HANGS!r},)), 600.0)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts processes by /proc")
def test_no_process_is_left_when_the_trainer_is_killed_in_a_comparison() -> None:
    trainer = subprocess.Popen([sys.executable, "-c", TRAINER], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    keeper = int(trainer.stdout.readline())
    assert wait_for(lambda: len(children_of(keeper)) == 1)
    (child,) = children_of(keeper)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    assert wait_for(lambda: not is_alive(keeper) and not is_alive(child))
    trainer.stdout.close()
