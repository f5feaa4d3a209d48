"""Verdicts on many answers at once, in bounded time and memory.

    questions  ->  most are decided in microseconds  ->  the others by parallel workers  ->  verdicts

Hanging comparisons do not delay the others: every question first gets a short time, unfinished ones get more time in
later rounds, and all questions share one budget. A question that has used its full time is not tried again in this run.
Verdicts do not depend on order, number of workers or rank, except for questions that run out of time.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.answers.equivalence import Compare, Expressions, judge, judge_quickly
from rewards.answers.golds import gold_problem
from rewards.answers.reasons import Reason, Unknown
from rewards.answers.symbols.workers import PROGRAM, WALL_FACTOR, Worker

_FIRST_SECONDS = (0.03, 0.3)
"""Seconds per question in the first rounds; the last has the full timeout. Common answers need a third of the first."""

_MAX_WORKERS = 8
_MAX_REMEMBERED = 100_000  # hanging pairs


@dataclass(frozen=True, slots=True)
class Question:
    """An answer, with the gold answer and its choices and tolerance."""

    gold: str
    answer: str
    choices: tuple[str, ...] | None = None
    tolerance: float | None = None


class Verifier:
    """Judges answers with worker processes, which start when they are first needed and end with their owner.

    May be called from any thread; calls wait for each other. A copy, also one in a forked process, has workers of its
    own.
    """

    def __init__(
        self,
        timeout_seconds: float = 5.0,
        budget_seconds: float = 60.0,
        num_workers: int | None = None,
        memory_megabytes: int = 1024,
        program: Path = PROGRAM,
    ) -> None:
        """Keep the settings.

        Args:
            timeout_seconds: longest processor time for one answer; on the wall three times that.
            budget_seconds: longest time on the wall for all answers of one call; answers that are not decided by then
                are unknown.
            num_workers: processes; None: one for each core of this rank, at most 8.
            memory_megabytes: largest address space of a comparison, in MiB.
            program: Python file that the workers run, for tests.
        """
        self.timeout_seconds, self.budget_seconds = timeout_seconds, budget_seconds
        self.num_workers, self.memory_megabytes, self.program = num_workers, memory_megabytes, program
        self._own_state()

    def _own_state(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self.workers: list[Worker] = []
        # Seconds for which each unfinished question has been tried.
        self._tried: dict[Any, float] = {}

    # Processes and locks cannot be copied or pickled: a copy starts with the settings only.
    def __reduce__(self) -> tuple[Any, ...]:
        settings = (self.timeout_seconds, self.budget_seconds, self.num_workers, self.memory_megabytes, self.program)
        return Verifier, settings

    def judge_all(self, questions: Sequence[Question]) -> list[Reason]:
        """Return one verdict per question."""
        verdicts: dict[Question, Reason] = {}
        slow: list[Question] = []
        # Completions of one prompt often have the same answer.
        for question in dict.fromkeys(questions):
            quick = judge_quickly(
                question.gold, question.answer, choices=question.choices, tolerance=question.tolerance
            )
            if quick is None:
                slow.append(question)
            else:
                verdicts[question] = quick
        verdicts |= dict(zip(slow, self._all_slow(slow, _judge_with), strict=True))
        return [verdicts[question] for question in questions]

    def gold_problems(self, golds: Sequence[tuple[str, tuple[str, ...] | None]]) -> list[str | None]:
        """Return for each gold with its choices why no answer can be compared with it; None for a good gold."""
        problems = {gold: gold_problem(gold[0], choices=gold[1]) for gold in dict.fromkeys(golds)}
        open_golds = [gold for gold, problem in problems.items() if problem is None]
        verdicts = self._all_slow(open_golds, _read_with)
        for gold, verdict in zip(open_golds, verdicts, strict=True):
            if verdict is Reason.UNREADABLE_GOLD:
                problems[gold] = "cannot be read as mathematics"
        return [problems[gold] for gold in golds]

    def close(self) -> None:
        """End the workers; the next question starts new ones."""
        for worker in self.workers:
            worker.close()
        self.workers = []

    # --- workers ----------------------------------------------------------------------------------------------------

    def _all_slow(self, items: Sequence[Any], judge_one: "JudgeOne") -> list[Reason]:
        """Return the verdicts on items that need workers; each is tried for longer in every round."""
        if not items:
            return []
        if self._owner != os.getpid():
            self._own_state()  # a fork has no workers of its own yet
        with self._lock:
            verdicts = dict.fromkeys(items, Reason.TIMED_OUT)
            workers = self._ready_workers(len(items))
            deadline = time.monotonic() + self.budget_seconds
            left = list(items)
            for seconds in self._rounds():
                tried = [item for item in left if self._tried.get(item, 0.0) < seconds]
                self._one_round(tried, seconds, deadline, workers, judge_one, verdicts)
                left = [item for item in left if verdicts[item] is Reason.TIMED_OUT]
            return [verdicts[item] for item in items]

    def _one_round(
        self,
        items: Sequence[Any],
        seconds: float,
        deadline: float,
        workers: Sequence[Worker],
        judge_one: "JudgeOne",
        verdicts: dict[Any, Reason],
    ) -> None:
        queue = _Shared(iter(items))

        def work(worker: Worker) -> None:
            for item in queue:
                if time.monotonic() + min(seconds, 0.05) >= deadline:
                    return
                verdicts[item] = judge_one(item, _within(worker, seconds, deadline))
                # A question that the deadline cut short is not remembered as hanging: the answer may be good.
                if verdicts[item] is Reason.TIMED_OUT and time.monotonic() < deadline:
                    self._tried[item] = seconds

        with ThreadPoolExecutor(len(workers)) as threads:
            list(threads.map(work, workers))
        while len(self._tried) > _MAX_REMEMBERED:
            del self._tried[next(iter(self._tried))]

    def _rounds(self) -> list[float]:
        return [*(seconds for seconds in _FIRST_SECONDS if seconds < self.timeout_seconds), self.timeout_seconds]

    def _ready_workers(self, num_items: int) -> list[Worker]:
        wanted = min(self.num_workers or default_num_workers(), num_items)
        self.workers += [Worker(self.memory_megabytes, self.program) for _ in range(wanted - len(self.workers))]
        used = self.workers[:wanted]
        # All workers start at the same time, and their start does not count as time of a comparison.
        for worker in used:
            worker.start()
        for worker in used:
            try:
                worker.wait_until_ready()
            except Unknown:
                continue  # each comparison tries again, and says why it failed
        return used


JudgeOne = Callable[[Any, Compare], Reason]
"""Judges an item with a comparison."""


def default_num_workers() -> int:
    """Return the cores of this rank: those this process may use, divided by the ranks of the machine; at most 8."""
    # macOS cannot say which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("WORLD_SIZE") or 1)
    return max(1, min(_MAX_WORKERS, cores // max(ranks, 1)))


def _judge_with(question: Question, compare: Compare) -> Reason:
    return judge(question.gold, question.answer, compare, choices=question.choices, tolerance=question.tolerance)


def _read_with(gold: tuple[str, tuple[str, ...] | None], compare: Compare) -> Reason:
    try:
        return Reason.UNREADABLE_GOLD if gold_problem(*gold, compare=compare) else Reason.RIGHT_TEXT
    except Unknown as unknown:
        return unknown.reason


def _within(worker: Worker, seconds: float, deadline: float) -> Compare:
    """Return a comparison with a limit of processor time, a larger limit on the wall, and a deadline.

    A verdict on a list may need several calls, which share the time.
    """
    end = min(time.monotonic() + seconds * WALL_FACTOR, deadline)

    def compare(expressions: Expressions) -> bool:
        left = end - time.monotonic()
        if left <= 0.0:
            raise Unknown(Reason.TIMED_OUT)
        return worker.compare(expressions, left / WALL_FACTOR)

    return compare


class _Shared:
    """An iterator that several threads take items from."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items, self._lock = items, threading.Lock()

    def __iter__(self) -> "_Shared":
        return self

    def __next__(self) -> Any:
        with self._lock:
            return next(self._items)
