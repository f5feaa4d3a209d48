"""``make ahead-table``: does sampling a rollout ahead cost accuracy? GRPO in turns and ahead, with equally many
completions.

The engine of both is simulated, as a server elsewhere would sample: from a copy of the policy's weights. So the two
differ only in the age of the weights that sample. Both weigh tokens by truncated importance sampling.

Writes one file for each trial into runs/experiments/ahead and prints the table. A finished trial is not run again, so
seeds may run side by side.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from cli.app import run
from cli.quickstart import MEASURES, measures

FOLDER = Path("runs/experiments/ahead")
METHODS = {"in turns": 0, "one ahead": 1}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the missing trials, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps, two to a rollout")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for method, rollouts_ahead in METHODS.items():
            path = FOLDER / f"{seed}-{rollouts_ahead}.json"
            if not path.is_file():
                row = {"seed": seed, "rollouts": method, **trained_and_tested(seed, rollouts_ahead, options.steps)}
                path.write_text(json.dumps(row) + "\n")
    rows = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    Console().print(table(rows), highlight=False, soft_wrap=True)


def trained_and_tested(seed: int, rollouts_ahead: int, steps: int) -> dict[str, float]:
    """Train, export, and return the measures of the export on held-out prompts."""
    name, exported = f"ahead-{seed}-{rollouts_ahead}", FOLDER / f"policy-{seed}-{rollouts_ahead}"
    shared = [
        "--config", "configs/tiny/grpo.yaml", "--seed_everything", str(seed),
        "--model.init_args.engine=experiments.ahead.slow_engine.SlowEngine",
        f"--model.init_args.rollouts_ahead={rollouts_ahead}", "--model.init_args.grpo.engine_ratio_cap=2.0",
        "--model.init_args.evaluation={num_samples: 4, pass_at: [4]}", f"--trainer.max_steps={steps}",
        "--trainer.limit_val_batches=0", "--trainer.enable_progress_bar=false", "--trainer.logger.name=ahead",
        f"--trainer.logger.version={name}", "--callbacks.progress=null", "--callbacks.completions=null",
    ]  # fmt: skip
    export = ["--callbacks.export=callbacks.ExportPolicy", f"--callbacks.export.folder={exported}"]
    run(["fit", *shared, *export])
    trained = ["--model.init_args.policy=models.PretrainedPolicy", f"--model.init_args.policy.path={exported}"]
    tested: Any = run(["test", *shared, *trained])
    return measures(tested.trainer.callback_metrics)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return trials as a Markdown table."""
    lines = [f"| seed | rollouts | {' | '.join(MEASURES.values())} |", f"|{'---|' * (len(MEASURES) + 2)}"]
    for row in rows:
        cells = [str(row["seed"]), row["rollouts"], *(f"{100 * row[key]:.1f} %" for key in MEASURES)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
