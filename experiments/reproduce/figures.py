"""One figure for each claim: the curves of its arms, from the stored runs."""

from collections.abc import Sequence
from pathlib import Path

from experiments.claims import Arm, Claim
from experiments.reproduce.verdicts import RunsByArm
from run_records import draw_panels

# Of the metrics that have a title in words; others are called by their names.
TITLES = {
    "val/greedy_accuracy": "greedy accuracy (validation)",
    "val/sampled_accuracy": "sampled accuracy (validation)",
    "val/hallucination_rate": "hallucination rate (validation)",
    "rollout/effective_fraction": "groups of a rollout that teach",
    "rollout/preference": "mean score of the preference model",
    "buffer/batch_samples": "samples with an advantage in a batch",
    "calibration/threshold": "what the calibrator has set",
}


def draw_claim(claim: Claim, runs: RunsByArm, folder: Path) -> Path | None:
    """Draw a claim's figure as PNG and SVG and return the PNG file; None when there is nothing to draw.

    An earlier figure is then removed, because it shows runs that are no longer those of the claim.
    """
    column = 2 if claim.over == "completions" else 0
    panels = {}
    for metric in claim.curves:
        curves = {
            arm.name: [
                [(point[column], point[1]) for point in run.curves[metric]]
                for run in runs[arm.name].values()
                if len(run.curves.get(metric, ())) > 1
            ]
            for arm in claim.arms
        }
        drawn = {name: lines for name, lines in curves.items() if lines}
        if drawn:
            unit = "completions of the policy" if column else "optimizer steps"
            panels[f"{TITLES.get(metric, metric)} over {unit}"] = curves
    path = folder / f"{claim.name}.png"
    if panels:
        return draw_panels(panels, path)[0]
    for old in (path, path.with_suffix(".svg")):
        old.unlink(missing_ok=True)
    return None


def draw_accuracy(arms: Sequence[Arm], runs: RunsByArm, path: Path) -> None:
    """Draw the sampled accuracy of some arms alone: the README's picture."""
    curves = {
        arm.name: [[(p[2], p[1]) for p in run.curves["val/sampled_accuracy"]] for run in runs[arm.name].values()]
        for arm in arms
    }
    draw_panels({"sampled accuracy (validation) over completions of the policy": curves}, path)
