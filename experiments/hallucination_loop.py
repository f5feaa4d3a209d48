"""``make hallucination-loop``: GRPO with a preference reward that likes claims, true or not, on three seeds.

    no preference    the reward without it: what training reaches unbiased
    raw              the score as it is: reward and hallucination rise together
    fixed cap        scores above a cap count as the cap
    calibrated       a monitor measures, a calibrator moves the weight

Writes runs/experiments/loop/*.json, docs/figures/hallucination_loop.png, and prints the table. A trial that is there
already is not run again.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from experiments.figures import draw_panels
from experiments.trials import FIGURES, ROOT, kept_trial, kept_trials, markdown

CONFIGS = ["configs/tiny/grpo.yaml", "configs/tiny/grpo_biased.yaml"]
FOLDER = ROOT / "loop"
METHODS = {
    "no preference": ["configs/ablations/no_preference_reward.yaml"],
    "raw": [],
    "fixed cap": ["configs/ablations/fixed_threshold.yaml"],
    "calibrated": ["configs/tiny/grpo_calibrated.yaml"],
}
PANELS = {
    "hallucination rate (validation)": "val/hallucination_rate",
    "sampled accuracy (validation)": "val/sampled_accuracy",
    "mean score of the biased preference model": "rollout/preference",
    "weight set by the calibrator": "calibration/threshold",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args(arguments)
    for seed in options.seeds:
        for method, overlays in METHODS.items():
            length = [f"--trainer.max_steps={options.steps}", f"--trainer.val_check_interval={options.steps // 10}"]
            kept_trial(FOLDER, method, [*CONFIGS, *overlays], seed, flags=length, tags=list(PANELS.values()))
    trials = kept_trials(FOLDER, list(METHODS))
    rows = [{"seed": t["seed"], "method": t["method"], **t["test"]} for t in trials]
    Console().print(markdown(rows), highlight=False, soft_wrap=True)
    panels = {title: {m: _curves(trials, m, tag) for m in METHODS} for title, tag in PANELS.items()}
    draw_panels(panels, FIGURES / "hallucination_loop.png")


def _curves(trials: Sequence[Mapping[str, Any]], method: str, tag: str) -> list[list[tuple[float, float]]]:
    return [[(s, v) for s, v, _ in t["curves"].get(tag, [])] for t in trials if t["method"] == method]


if __name__ == "__main__":
    main()
