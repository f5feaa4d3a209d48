"""Runs the arms of claims, as ``train.py sweep`` would, and stores the numbers of each finished run."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console

from cli.sweep.command import in_words
from cli.sweep.plan import PlannedRun, plan
from cli.sweep.side_by_side import Job, run_side_by_side
from experiments.claims import Arm, Claim
from experiments.reproduce.browser import keep_cards
from experiments.reproduce.scales import MEASURED, Scale
from experiments.reproduce.stored import store
from run_records.record import FINISHED, RUNNING

console = Console(highlight=False, soft_wrap=True)
# One thread, because the order of sums depends on the number of threads: one thread gives the same numbers on every
# machine.
THREADS = 1


@dataclass(frozen=True)
class ArmRun:
    """One run of an arm: with one seed."""

    arm: Arm
    seed: int
    planned: PlannedRun

    @property
    def name(self) -> str:
        """Name of the stored file."""
        return f"{self.arm.name}-s{self.seed}"


def sweep_command(arm: Arm, scale: Scale) -> str:
    """Return the command that a user types for the runs of an arm."""
    seeds = " ".join(map(str, scale.seeds))
    words = ["python", "train.py", "sweep", "--config", arm.config, "--overlays", "+".join([*arm.overlays, MEASURED])]
    return f"{shlex.join(words)} --seeds {seeds} {shlex.join(scale.run_flags(arm))}"


def planned_runs(claims: Iterable[Claim], scale: Scale) -> list[ArmRun]:
    """Return the different runs of some claims, claim by claim and seed by seed, after the parser has accepted each."""
    wanted: dict[str, tuple[Arm, int]] = {}
    for claim in claims:
        # The trials that choose settings come first; the fast scale skips them and uses the chosen settings.
        first = [(arm, scale.seeds[0]) for arm in claim.trials if scale.share == 1.0]
        rest = [(arm, seed) for seed in scale.seeds for arm in claim.arms]
        for arm, seed in (*first, *rest):
            wanted.setdefault(f"{arm.name}-s{seed}", (arm, seed))
    by_arm: dict[str, dict[int, PlannedRun]] = {}
    for arm, _ in wanted.values():
        if arm.name not in by_arm:
            # One pass of the parser for all seeds of an arm.
            seeds = [seed for other, seed in wanted.values() if other.name == arm.name]
            runs = plan([arm.config], ["+".join([*arm.overlays, MEASURED])], seeds, scale.run_flags(arm))
            by_arm[arm.name] = dict(zip(seeds, runs, strict=True))
    return [ArmRun(arm, seed, by_arm[arm.name][seed]) for arm, seed in wanted.values()]


def run_all(runs: Sequence[ArmRun], scale: Scale, *, at_once: int) -> list[str]:
    """Run unfinished runs, store the finished ones, and return the names of failed runs.

    Args:
        runs: runs from ``planned_runs``.
        scale: scale, which has the folder for the numbers.
        at_once: number of runs side by side, each with one thread.
    """
    records = {run.name: run.planned.record() for run in runs}
    elsewhere = [name for name, record in records.items() if record is not None and record.status == RUNNING]
    left = [run for run in runs if run.name not in elsewhere and not _stored(run, scale)]
    finished = [record for record in records.values() if record is not None and record.status == FINISHED]
    seconds = [record.seconds for record in finished]
    console.print(f"of {len(runs)} runs {len(finished)} have finished, and {len(left)} are left")
    if elsewhere:
        console.print(f"left to the processes in which they run: {', '.join(elsewhere)}")
    logs = scale.browser.parent / "logs"
    jobs = {Job(run.name, run.planned.command(), logs / f"{run.name}.log"): run for run in left}
    failed: list[str] = []
    for ended in run_side_by_side(list(jobs), at_once=at_once, threads=THREADS, started=lambda job: None):
        run = jobs[ended.job]
        left.remove(run)
        if ended.status != 0 or not _stored(run, scale):
            failed.append(run.name)
            console.print(f"{run.name} has failed after {in_words(ended.seconds)}; see {ended.job.log}")
            continue
        seconds.append(ended.seconds)
        rest = sum(seconds) / len(seconds) * len(left) / at_once
        told = f"; {len(left)} left, about {in_words(rest)}" if left else ""
        console.print(f"{run.name} has finished after {in_words(ended.seconds)}{told}")
    return failed


def _stored(run: ArmRun, scale: Scale) -> bool:
    """Store the numbers of a run if it has finished; return whether it has."""
    record = run.planned.record()
    if record is None or record.status != FINISHED:
        return False
    store(record, run.arm, scale.results)
    keep_cards(record.folder, run.name, scale)
    return True
