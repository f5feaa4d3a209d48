"""``make real``: tower, words, alignment, answers, GRPO, reward model, pairs, SFT, MPO on real photographs, measured.

Writes runs/real/seed-SEED/STAGE.json for every stage, and the models beside them. A stage whose file is there is not
run again.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from algorithms import ConfigError, DataError
from experiments.real.inputs import check_inputs
from experiments.real.stages import QUIET, ROOT, SCALES, STAGES, run_stage

SHOWN = ("greedy_accuracy", "sampled_accuracy", "hallucination_rate", "item_accuracy", "pope_f1", "blind_gap")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages of every seed, one seed after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    default = "gpu" if torch.cuda.is_available() else "laptop"
    parser.add_argument(
        "--scale", choices=list(SCALES), default=default, help=f"how long the stages run; {default} here"
    )
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), help="default: those of the scale")
    parser.add_argument("--root", type=Path, default=ROOT, help="where models and numbers are written")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, for logs in files")
    options, flags = parser.parse_known_args(arguments)
    flags += QUIET if options.quiet else ()
    stages = options.stages or SCALES[options.scale].stages
    check_inputs()
    console = Console()
    for seed in options.seeds:
        table = Table(title=f"seed {seed}, scale {options.scale}")
        for heading in ("stage", "seconds", *SHOWN):
            table.add_column(heading.replace("_", " "))
        for number, name in enumerate(stages, start=1):
            console.rule(f"seed {seed}: {name} ({number}/{len(stages)}), {time.strftime('%H:%M:%S')}")
            result = run_stage(name, seed, SCALES[options.scale], root=options.root, flags=flags)
            measures = result.get("measures", {})
            cells = [f"{measures[key]:.3f}" if key in measures else "" for key in SHOWN]
            table.add_row(name, f"{result['seconds']:.0f}", *cells)
            console.print(table)


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DataError) as error:
        sys.exit(f"error: {error}")
