"""``make hallucination-loop``: GRPO with a preference reward that likes claims, true or not, on three seeds.

    no preference    the reward without it: what training reaches unbiased
    raw              the score as it is: reward and hallucination rise together
    fixed cap        scores above a cap count as the cap
    calibrated       a monitor measures, a calibrator moves the weight

Writes runs/experiments/loop/*.json, docs/figures/hallucination_loop.png, and prints the table. A trial that is there
already is not run again.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from experiments.figures import draw_panels
from experiments.trials import FIGURES, ROOT, curves, markdown, trained_and_tested

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
            run_trial(method, overlays, seed, options.steps)
    trials = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    order = {method: place for place, method in enumerate(METHODS)}
    trials.sort(key=lambda trial: (trial["seed"], order[trial["method"]]))
    rows = [{"seed": t["seed"], "method": t["method"], **t["test"]} for t in trials]
    Console().print(markdown(rows), highlight=False, soft_wrap=True)
    panels = {title: {m: _curves(trials, m, tag) for m in METHODS} for title, tag in PANELS.items()}
    draw_panels(panels, FIGURES / "hallucination_loop.png")


def run_trial(method: str, overlays: Sequence[str], seed: int, steps: int) -> None:
    """Train and test one method with one seed, unless its result is there."""
    name = f"loop_{method.replace(' ', '_')}-{seed}"
    path = FOLDER / f"{name}.json"
    if path.is_file():
        return
    flags = [
        f"--trainer.max_steps={steps}", f"--trainer.val_check_interval={max(1, steps // 10)}",
        "--model.evaluation.num_samples=4", "--model.evaluation.pass_at=[4]", "--callbacks.completions=null",
    ]  # fmt: skip
    tested = trained_and_tested([*CONFIGS, *overlays], seed, name=name, flags=flags)
    FOLDER.mkdir(parents=True, exist_ok=True)
    logged = curves(name, list(PANELS.values()))
    path.write_text(json.dumps({"method": method, "seed": seed, "test": tested, "curves": logged}) + "\n")


def _curves(trials: Sequence[Mapping[str, Any]], method: str, tag: str) -> list[list[tuple[float, float]]]:
    return [[(s, v) for s, v, _ in t["curves"].get(tag, [])] for t in trials if t["method"] == method]


if __name__ == "__main__":
    main()
