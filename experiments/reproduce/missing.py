"""``--only_missing``: which runs are left out because a file is stored, and which are run although one is.

New runs are compared with stored ones, so a stored run that started from another policy than today's runs of its seed
is run again, and so is one whose file lacks what a claim measures.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence

from cli.built import referred_folder
from cli.given.settings import config_files, flags, merged, value_at
from cli.run_record.kept_run import BUILDS
from cli.run_record.starting_policy import POLICY_PATH, policy_in
from cli.sweep.side_by_side import TRAIN, with_threads
from experiments.claims import Claim
from experiments.reproduce.runs import THREADS, ArmRun
from experiments.reproduce.scales import Scale
from experiments.reproduce.stored import StoredRun, of_claims_alone, stored_runs

Today = Callable[[ArmRun], str | None]
"""Gives the digest of the policy that a run would start from today, as ``StoredRun.start`` does."""


def left_to_run(
    runs: Sequence[ArmRun], claims: Sequence[Claim], scale: Scale, today: Today
) -> tuple[list[ArmRun], list[str]]:
    """Return the runs that are left, and what a user is told about stored ones.

    Args:
        runs: from ``planned_runs``.
        claims: the claims that they are for.
        scale: says where stored runs lie.
        today: asked once for each seed of which some runs are stored, with their start, and others are missing.
    """
    known = stored_runs(scale.results, [run.arm for run in runs])
    stored = {run.name: found for run in runs if (found := known[run.arm.name].get(run.seed)) is not None}
    told: list[str] = []
    for name, metrics in _lacking(stored, claims).items():
        del stored[name]
        told.append(f"{name} is run again: its file was stored without {', '.join(metrics)}.")
    # One missing run of each seed: all of a seed start from one policy, or from what was made of it.
    for run in {run.seed: run for run in reversed(runs) if run.name not in stored}.values():
        for name, start, now in _from_elsewhere(run, stored, today):
            del stored[name]
            told.append(
                f"{name} is run again: it started from policy {start}, and today's runs of seed {run.seed} start from "
                f"{now}, so the two could not be compared."
            )
    left = [run for run in runs if run.name not in stored]
    seeds = {run.seed for run in left}
    if unknown := [name for name, run in stored.items() if run.start is None and run.seed in seeds]:
        told.append(
            f"{', '.join(unknown)}: not run again, although their files do not say which policy they started from, so "
            "that today's runs may start from another; without --only_missing they are run again."
        )
    return left, told


def start_today(run: ArmRun) -> str | None:
    """Return what a run would start from today, built first where it is missing; None: not known."""
    arguments = run.planned.arguments
    path = str(value_at(merged([*config_files(arguments), *flags(arguments)]), POLICY_PATH))
    folder = referred_folder(path, run.seed)
    if folder is not None and not folder.is_dir():
        # In a process with as many threads as the runs have, because rounding depends on them.
        program = "import sys; from cli.app import build; build(sys.argv[1:])"
        command = [sys.executable, "-c", program, *arguments]
        subprocess.run(command, check=True, cwd=TRAIN.parent, env=with_threads(THREADS))
    return policy_in(str(folder or path), BUILDS)["first_weights"]


def _from_elsewhere(run: ArmRun, stored: dict[str, StoredRun], today: Today) -> list[tuple[str, str, str]]:
    """Return the stored runs of a run's seed that started from another policy, with its digest and today's."""
    starts = {name: other.start for name, other in stored.items() if other.seed == run.seed}
    known = {name: start for name, start in starts.items() if start is not None}
    now = today(run) if known else None
    return [] if now is None else [(name, start, now) for name, start in known.items() if start != now]


def _lacking(stored: dict[str, StoredRun], claims: Sequence[Claim]) -> dict[str, list[str]]:
    """Return the stored runs that lack a curve of a claim, with the names of these."""
    found: dict[str, list[str]] = {}
    for name, run in stored.items():
        asked = of_claims_alone(claim for claim in claims if run.arm in (*claim.arms, *claim.trials))
        if lacking := [metric for metric in asked if metric not in run.curves]:
            found[name] = lacking
    return found
