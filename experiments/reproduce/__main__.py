"""``make reproduce``: tests the paper's claims in the tiny world and writes docs/results.md from the results.

A stopped command can continue: finished runs are kept, others continue from their last checkpoint.
"""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from experiments.claims import all_claims
from experiments.reproduce.missing import left_to_run, start_today
from experiments.reproduce.publish import publish
from experiments.reproduce.runs import planned_runs, run_all, sweep_command
from experiments.reproduce.scales import SCALES

console = Console(highlight=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run unfinished runs and write the page; return 1 when a run has failed."""
    known = all_claims()
    parser = argparse.ArgumentParser("python -m experiments.reproduce", description=__doc__)
    parser.add_argument("--claims", nargs="*", choices=list(known), help="default: all of the scale")
    parser.add_argument("--scale", choices=list(SCALES), default="full")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: those of the scale")
    parser.add_argument("--only_missing", action="store_true", help="leave out runs of which a file is stored already")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--dry_run", action="store_true", help="print the commands of the runs, and run nothing")
    parser.add_argument("--pages_only", action="store_true", help="write the pages from the stored runs")
    options = parser.parse_args(arguments)
    scale = SCALES[options.scale].with_seeds(options.seeds)
    wanted = options.claims or scale.claims or list(known)
    claims = [known[name] for name in known if name in wanted]
    if options.dry_run:
        arms = {arm.name: arm for claim in claims for arm in (*claim.arms, *claim.trials)}
        for name, arm in arms.items():
            console.print(f"# {name}\n{sweep_command(arm, scale)}", markup=False)
        return 0
    failed: list[str] = []
    if not options.pages_only:
        runs = planned_runs(claims, scale)
        if options.only_missing:
            runs, told = left_to_run(runs, claims, scale, start_today)
            for line in told:
                console.print(line, markup=False)
        failed = run_all(runs, scale, at_once=options.jobs)
    console.print(f"written: {', '.join(map(str, publish(scale)))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
