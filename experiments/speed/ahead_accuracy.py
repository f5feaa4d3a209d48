"""``make ahead-table``: does a rollout ahead cost accuracy? GRPO in turns and ahead, after equally many completions.

The engine of both is simulated, as a server elsewhere would sample: from a copy of the policy's weights. So the two
differ in what is asked alone: how old the weights are that sample. Both weigh tokens by truncated importance sampling.

Writes runs/experiments/ahead.json and prints the table, with the difference for each seed. A seed that is there already
is not run again.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from experiments.trials import ROOT, markdown, trained_and_tested, write

CONFIG = "configs/tiny/grpo.yaml"
METHODS = {"in turns": 0, "one ahead": 1}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps, two to a rollout")
    options = parser.parse_args(arguments)
    path = ROOT / "ahead.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    for seed in options.seeds:
        for method, rollouts_ahead in METHODS.items():
            if not any(row["seed"] == seed and row["method"] == method for row in rows):
                name = f"ahead-{seed}-{rollouts_ahead}"
                tested = trained_and_tested([CONFIG], seed, name=name, flags=flags(rollouts_ahead, options.steps))
                rows.append({"seed": seed, "method": method, **tested})
                write("ahead", rows)
    Console().print(markdown(rows), highlight=False, soft_wrap=True)


def flags(rollouts_ahead: int, steps: int) -> list[str]:
    """Return what a run has besides its config."""
    return [
        "--model.init_args.engine=experiments.speed.slow_engine.SlowEngine",
        f"--model.init_args.rollouts_ahead={rollouts_ahead}", "--model.init_args.grpo.engine_ratio_cap=2.0",
        f"--trainer.max_steps={steps}", "--trainer.limit_val_batches=0", "--callbacks.completions=null",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
