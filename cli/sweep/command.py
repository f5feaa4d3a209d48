"""Runs the unfinished runs of a sweep and estimates the time; then makes table and figure of the finished runs."""

import hashlib
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.build_notice import in_words
from cli.given.places import writes_to
from cli.run_record.closing import command_line
from cli.stop_signals import Stopped
from cli.sweep.options import SweepOptions, read_options
from cli.sweep.plan import PlannedRun, overlay_files, plan
from cli.sweep.refusals import Refusals, told_lines
from cli.sweep.side_by_side import Ended, Job, run_side_by_side
from cli.sweep.slurm import job_array
from run_records import compare, write_report
from run_records.record import FINISHED, RUNNING
from storage import check_writable

console = Console(stderr=True, highlight=False, soft_wrap=True)
_TOLD_LINES = 3  # last lines of a failed run's log that are shown


def main(arguments: Sequence[str]) -> int:
    """Run ``train.py sweep`` and return its status: 0 when every run has finished."""
    options = read_options(arguments)
    for variant in options.variants:
        overlay_files(variant)
    console.print(f"checking {_counted(len(options.variants), 'variant')} ...")
    runs = plan(options.configs, options.variants, options.seeds, options.shared)
    if options.dry_run:
        _show(runs)
        return 0
    out = options.out or _sweep_folder(runs, options)
    if options.slurm is not None:
        _write_array(runs, options, out)
        return 0
    with writes_to("--out" if options.out else "the sweep's folder", out):
        check_writable(out)
    failed = run_planned(runs, options, out)
    _report(runs, options, out)
    return 1 if failed else 0


def run_planned(runs: Sequence[PlannedRun], options: SweepOptions, out: Path) -> int:
    """Run the unfinished runs and return how many have still not finished."""
    seconds, left, elsewhere = _sorted_out(runs)
    console.print(f"{len(runs)} runs: {len(seconds)} have finished, {len(left)} are left; logs in {out}/logs")
    jobs = {Job(run.name, run.command(), out / "logs" / f"{run.name}.log"): run for run in left}
    refusals, failed = Refusals(), elsewhere
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rest]}"),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("sweep", total=len(runs), completed=len(seconds), rest="")
        try:
            for ended in run_side_by_side(
                list(jobs), at_once=options.jobs, threads=options.threads,
                started=lambda job: bar.console.print(f"{job.name} has started"),
                is_wanted=lambda job: refusals.is_wanted(jobs[job]),
            ):  # fmt: skip
                refusals.add(jobs[ended.job], ended)
                failed += ended.status != 0
                seconds += [ended.seconds] if ended.status == 0 else []
                rest = estimate(seconds, len(runs) - elsewhere - len(seconds) - failed, options.jobs)
                bar.update(task, completed=len(seconds), rest=rest)
                _tell(bar.console, ended, done=f"{len(seconds)} of {len(runs)}", rest=rest)
        except (KeyboardInterrupt, SystemExit) as stop:
            is_interrupt = isinstance(stop, KeyboardInterrupt)
            console.print(f"stopped with {len(seconds)} of {len(runs)} runs finished; the same command goes on")
            raise Stopped(signal.SIGINT if is_interrupt else signal.SIGTERM) from None
    for culprit, names in refusals.skipped.items():
        console.print(f"not started, since they share what {culprit} has failed for: {', '.join(names)}")
        failed += len(names)
    return failed


def _sorted_out(runs: Sequence[PlannedRun]) -> tuple[list[float], list[PlannedRun], int]:
    """Return the seconds of finished runs, the runs that are left, and how many run in another process."""
    seconds: list[float] = []
    left: list[PlannedRun] = []
    elsewhere = 0
    for run in runs:
        record = run.record()
        if record is not None and record.status == RUNNING:
            console.print(f"{run.name} runs in another process, in {record.folder}: left to it")
            elsewhere += 1
        elif record is not None and record.status == FINISHED:
            seconds.append(record.seconds)
        else:
            left.append(run)
    return seconds, left, elsewhere


def estimate(seconds: Sequence[float], left: int, jobs: int) -> str:
    """Return in words how long a sweep will still take; empty when nothing is known or left.

    Args:
        seconds: durations of the finished runs.
        left: number of unfinished runs.
        jobs: number of runs side by side.
    """
    if not left or not seconds:
        return ""
    # The mean would be too long: the first run of a seed also builds the models that the config starts from.
    return f"about {in_words(median(seconds) * left / min(jobs, left))} left"


def _tell(shown: Console, ended: Ended, *, done: str, rest: str) -> None:
    after = in_words(ended.seconds)
    if ended.status == 0:
        shown.print(f"{ended.job.name} has finished after {after}; {done}{f', {rest}' if rest else ''}")
        return
    shown.print(f"{ended.job.name} has failed with status {ended.status} after {after}; see {ended.job.log}")
    for line in told_lines(ended, _TOLD_LINES):
        shown.print(f"  {line}", markup=False)


def _show(runs: Sequence[PlannedRun]) -> None:
    """Print the commands and the progress of their runs."""
    shown = Console(highlight=False, soft_wrap=True)
    for run in runs:
        record = run.record()
        state = f"{record.told}, {record.folder}" if record is not None else "not started"
        shown.print(f"# {run.name}: {state}", markup=False)
        if record is None or record.status not in (FINISHED, RUNNING):
            shown.print(command_line(run.command()), markup=False)


def _write_array(runs: Sequence[PlannedRun], options: SweepOptions, out: Path) -> None:
    assert options.slurm is not None
    _, left, _ = _sorted_out(runs)
    if not left:
        console.print("every run has finished: no job array is written")
        return
    for key, folder in (("--out", out / "logs"), ("--slurm", options.slurm.parent)):
        with writes_to(key, folder):
            check_writable(folder)
    # With ``last`` a restarted task continues, also a task that has no checkpoint yet.
    commands = [[*run.arguments, "--ckpt_path=last"] for run in left]
    text = job_array(
        commands, name=f"sweep-{Path(options.configs[0]).stem}", file=options.slurm, log_folder=out / "logs",
        at_once=options.jobs if options.jobs > 1 else None, threads=options.threads,
    )  # fmt: skip
    options.slurm.write_text(text, encoding="utf-8")
    console.print(f"{_counted(len(left), 'task')} in {options.slurm}: sbatch {shlex.quote(str(options.slurm))}")


def _report(runs: Sequence[PlannedRun], options: SweepOptions, out: Path) -> None:
    """Compare the finished runs."""
    records = [record for run in runs if (record := run.record()) is not None]
    finished = [record for record in records if record.status == FINISHED]
    if not finished:
        console.print("no run has finished: there is nothing to compare")
        return
    titles = {run.place.name.title: None for run in runs}
    baseline = None if options.baseline is None else next(iter(titles))
    if baseline is not None and all(record.title != baseline for record in finished):
        console.print(f"no run of the baseline {baseline} has finished: the table has no differences")
        baseline = None
    comparison = compare([record.folder for record in records], baseline=baseline)
    files = write_report(comparison, out)
    console.print(comparison.markdown(), markup=False)
    console.print(f"written: {', '.join(map(str, files))}")


def _sweep_folder(runs: Sequence[PlannedRun], options: SweepOptions) -> Path:
    """Return a folder beside the runs; a sweep with other seeds has the same folder."""
    asked = "\0".join([*options.configs, *options.variants, *options.shared])
    digest = hashlib.sha256(asked.encode()).hexdigest()[:6]
    return runs[0].place.parent / "sweeps" / f"{Path(options.configs[0]).stem}-{digest}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
