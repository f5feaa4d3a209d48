"""``make ahead-table``: does a rollout ahead cost accuracy? GRPO in turns and ahead, after equally many completions.

The engine of both is simulated, as a server elsewhere would sample: from a copy of the policy's weights. So the two
differ in what is asked alone: how old the weights are that sample. Both weigh tokens by truncated importance sampling.

Writes one file for each trial into runs/experiments/ahead and prints the table. A trial that is there already is not
run again, so seeds may run side by side.
"""

import argparse
from collections.abc import Sequence

from rich.console import Console

from experiments.trials import ROOT, kept_trial, kept_trials, markdown

CONFIG = "configs/tiny/grpo.yaml"
FOLDER = ROOT / "ahead"
METHODS = {"in turns": 0, "one ahead": 1}
TAGS = [
    "rollout/accuracy", "rollout/completions_so_far", "rollout/staleness", "engine/logp_gap_mean",
    "engine/stale_logp_gap_mean", "engine/stale_effective_sample_size", "engine/stale_capped_fraction",
]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both with every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps, two to a rollout")
    options = parser.parse_args(arguments)
    for seed in options.seeds:
        for method, rollouts_ahead in METHODS.items():
            kept_trial(FOLDER, method, [CONFIG], seed, flags=flags(rollouts_ahead, options.steps), tags=TAGS)
    trials = kept_trials(FOLDER, list(METHODS))
    rows = [{"seed": trial["seed"], "rollouts": trial["method"], **trial["test"]} for trial in trials]
    Console().print(markdown(rows), highlight=False, soft_wrap=True)


def flags(rollouts_ahead: int, steps: int) -> list[str]:
    """Return what a run has besides its config."""
    return [
        "--model.init_args.engine=experiments.speed.slow_engine.SlowEngine",
        f"--model.init_args.rollouts_ahead={rollouts_ahead}", "--model.init_args.grpo.engine_ratio_cap=2.0",
        f"--trainer.max_steps={steps}", "--trainer.limit_val_batches=0",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
