"""``make tau-sweep``: accuracy and hallucination rate over the steps of MPO for several thresholds tau.

Pairs of the reward model only, so that tau decides which pairs there are. Writes runs/experiments/tau_sweep.json and
docs/figures/tau_sweep.png.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.trials import curves, trained_and_tested, write
from run_records import draw_panels

CONFIG = "configs/tiny/mpo.yaml"
FIGURE = Path("docs/figures/tau_sweep.png")
TAGS = {
    "val/sampled_accuracy": "sampled accuracy",
    "val/greedy_accuracy": "greedy accuracy",
    "val/hallucination_rate": "hallucination rate",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every threshold and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.0, 1.0, 4.0, 8.0, 11.0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    result: dict[str, Any] = {}
    for tau in options.thresholds:
        name = f"tau_sweep-{options.seed}-{tau:g}"
        flags = [
            "--data.selection.kinds=[reward_model]", f"--data.selection.threshold={tau}",
            f"--trainer.max_steps={options.steps}", f"--trainer.val_check_interval={options.steps // 12}",
            "--model.learning.optimizer.cosine=false",
        ]  # fmt: skip
        tested = trained_and_tested([CONFIG], options.seed, name=name, flags=flags)
        kept = curves(name, ["train/pairs_kept"])["train/pairs_kept"][0][1]
        result[f"{tau:g}"] = {"test": tested, "pairs_kept": round(kept, 3), "curves": curves(name, list(TAGS))}
        write(f"tau_sweep-{options.seed}", result)
    draw(result, FIGURE)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw one panel per measure, one line per threshold."""
    panels = {
        title: {
            f"tau = {tau} ({100 * trial['pairs_kept']:.0f} % of pairs)": [[(s, v) for s, v, _ in trial["curves"][tag]]]
            for tau, trial in result.items()
        }
        for tag, title in TAGS.items()
    }
    draw_panels(panels, path, columns=3)


if __name__ == "__main__":
    main()
