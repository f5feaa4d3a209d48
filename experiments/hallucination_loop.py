"""``make hallucination-loop``: training with a preference model that likes claims, true or not, on three seeds.

GRPO, where the preference score is part of the reward:

    no preference    the reward without it: what training reaches unbiased
    raw              the score as it is: reward and hallucination rise together
    fixed cap        scores above a cap count as the cap
    calibrated       a monitor measures, a calibrator moves the weight

Iterative MPO, where the preference score chooses pairs whose margin reaches tau:

    tau too low      almost any margin makes a pair
    tau well chosen  found by trying
    calibrated       from too low; a monitor measures, a calibrator moves tau

Writes runs/experiments/{loop,mpo_loop}/*.json, docs/figures/{hallucination,mpo_hallucination}_loop.png, and prints the
tables. A trial that is there already is not run again.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from experiments.trials import FIGURES, ROOT, kept_trial, kept_trials, markdown
from run_records import draw_panels


@dataclass(frozen=True)
class Loop:
    """One comparison: what all methods share, what each lays over it, and what is drawn."""

    folder: str
    """Name of the folder of its trials."""

    figure: str
    configs: Sequence[str]
    methods: Mapping[str, Sequence[str]]
    moved: str
    """Title of the panel of what the calibrator moves."""

    @property
    def panels(self) -> dict[str, str]:
        """Logged values by the title of their panel."""
        return {
            "hallucination rate (validation)": "val/hallucination_rate",
            "sampled accuracy (validation)": "val/sampled_accuracy",
            "mean score of the biased preference model": "rollout/preference",
            self.moved: "calibration/threshold",
        }


LOOPS = {
    "grpo": Loop(
        folder="loop",
        figure="hallucination_loop.png",
        configs=["configs/tiny/grpo.yaml", "configs/tiny/overlays/grpo_biased.yaml"],
        methods={
            "no preference": ["configs/ablations/reward/no_preference_reward.yaml"],
            "raw": [],
            "fixed cap": ["configs/ablations/loop/fixed_threshold.yaml"],
            "calibrated": ["configs/tiny/overlays/grpo_calibrated.yaml"],
        },
        moved="weight set by the calibrator",
    ),
    "mpo": Loop(
        folder="mpo_loop",
        figure="mpo_hallucination_loop.png",
        configs=[
            "configs/tiny/mpo.yaml",
            "configs/tiny/overlays/mpo_online.yaml",
            "configs/tiny/overlays/mpo_biased.yaml",
        ],
        methods={
            "tau too low": ["configs/ablations/loop/low_threshold.yaml"],
            "tau well chosen": [],
            "calibrated": ["configs/tiny/overlays/mpo_calibrated.yaml"],
        },
        moved="tau set by the calibrator",
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loops", nargs="+", choices=list(LOOPS), default=list(LOOPS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args(arguments)
    length = [f"--trainer.max_steps={options.steps}", f"--trainer.val_check_interval={options.steps // 10}"]
    for loop in (LOOPS[name] for name in options.loops):
        tags = list(loop.panels.values())
        for seed in options.seeds:
            for method, overlays in loop.methods.items():
                kept_trial(ROOT / loop.folder, method, [*loop.configs, *overlays], seed, flags=length, tags=tags)
        report(loop)


def report(loop: Loop) -> None:
    """Print the table of a comparison and draw its figure, from the trials that are there."""
    trials = kept_trials(ROOT / loop.folder, list(loop.methods))
    rows = [{"seed": t["seed"], "method": t["method"], **t["test"]} for t in trials]
    Console().print(markdown(rows), highlight=False, soft_wrap=True)
    panels = {title: {m: _curves(trials, m, tag) for m in loop.methods} for title, tag in loop.panels.items()}
    draw_panels(panels, FIGURES / loop.figure)


def _curves(trials: Sequence[Mapping[str, Any]], method: str, tag: str) -> list[list[tuple[float, float]]]:
    return [[(s, v) for s, v, _ in t["curves"].get(tag, [])] for t in trials if t["method"] == method]


if __name__ == "__main__":
    main()
