"""``make replay-table``: GRPO with the Selective Sample Buffer and what competes with it, on three seeds.

Every method starts from the same aligned base and sees the same prompts in the same order. Compared are accuracy over
completions generated and over wall time, and the effective fraction over training. A trial that is there already is
not run again, so that seeds can run side by side (``--seeds 0``) and a stopped run goes on.

Writes runs/experiments/replay/*.json, docs/figures/replay_*.png, and prints the tables.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.trials import FIGURES, ROOT, kept_trial, kept_trials
from run_records import draw_panels

CONFIG = "configs/tiny/grpo.yaml"
FOLDER = ROOT / "replay"
METHODS = {
    "GRPO": ["configs/ablations/replay/no_ssb.yaml"],
    "GRPO + dynamic sampling": ["configs/ablations/replay/dynamic_sampling.yaml"],
    "GRPO + uniform replay": ["configs/ablations/replay/uniform_replay.yaml"],
    "GRPO + SSB": [],
    "GRPO + offline SSB": ["configs/ablations/replay/offline_ssb.yaml"],
}
TAGS = [
    "val/sampled_accuracy", "val/greedy_accuracy", "rollout/completions_so_far", "rollout/effective_fraction",
    "buffer/replay_fraction", "buffer/replay_age", "train/clipped_fraction_fresh", "train/clipped_fraction_replay",
    "train/log_ratio_fresh", "train/log_ratio_replay", "rollout/accuracy",
]  # fmt: skip
COMPETITOR, OURS = "GRPO", "GRPO + SSB"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args(arguments)
    for seed in options.seeds:
        for method, overlays in METHODS.items():
            length = [f"--trainer.max_steps={options.steps}", f"--trainer.val_check_interval={options.steps // 15}"]
            kept_trial(FOLDER, method, [CONFIG, *overlays], seed, flags=length, tags=TAGS)
    trials = kept_trials(FOLDER, list(METHODS))
    report(trials)
    draw(trials)


def accuracy_over(trial: Mapping[str, Any], cost: str) -> list[tuple[float, float]]:
    """Return smoothed validation accuracy over ``completions`` or ``seconds`` spent."""
    logged = trial["curves"]
    spent = {step: value for step, value, _ in logged["rollout/completions_so_far"]}
    start = logged["rollout/completions_so_far"][0][2]
    values = [value for _, value, _ in logged["val/sampled_accuracy"]]
    points: list[tuple[float, float]] = []
    for i, (step, _, time) in enumerate(logged["val/sampled_accuracy"]):
        # One validation is good to about 1.5 points only: mean over it and its neighbours.
        near = values[max(0, i - 1) : i + 2]
        known = [spent[s] for s in spent if s <= step]
        points.append((known[-1] if cost == "completions" else time - start, statistics.fmean(near)))
    return points


def cost_to_reach(points: Sequence[tuple[float, float]], target: float) -> float | None:
    """Return the interpolated cost at which the curve first reaches a value; None if it never does."""
    before = (0.0, points[0][1]) if points[0][1] < target else (0.0, target)
    for after in points:
        if after[1] >= target:
            share = 1.0 if after[1] == before[1] else (target - before[1]) / (after[1] - before[1])
            return before[0] + share * (after[0] - before[0])
        before = after
    return None


def report(trials: Sequence[Mapping[str, Any]]) -> None:
    """Print results per method and seed, and how much cheaper each is than plain GRPO at the same accuracy."""
    names = (
        "seed",
        "method",
        "greedy",
        "sampled",
        "hallucination",
        "completions",
        "to GRPO's best",
        "ratio",
        "seconds",
    )
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    ratios: dict[str, list[float]] = {}
    for seed in sorted({trial["seed"] for trial in trials}):
        of_seed = {trial["method"]: trial for trial in trials if trial["seed"] == seed}
        target = max(accuracy for _, accuracy in accuracy_over(of_seed[COMPETITOR], "completions"))
        base = cost_to_reach(accuracy_over(of_seed[COMPETITOR], "completions"), target) or 0.0
        for method in METHODS:
            if method not in of_seed:
                continue
            trial = of_seed[method]
            cost, seconds = (cost_to_reach(accuracy_over(trial, kind), target) for kind in ("completions", "seconds"))
            if cost:
                ratios.setdefault(method, []).append(base / cost)
            told = ["never", "-", "-"] if cost is None else [f"{cost:.0f}", f"{base / cost:.2f}", f"{seconds:.0f}"]
            test = trial["test"]
            shares = [f"{100 * test[k]:.1f} %" for k in ("greedy_accuracy", "sampled_accuracy", "hallucination_rate")]
            total = f"{trial['curves']['rollout/completions_so_far'][-1][1]:.0f}"
            lines.append(f"| {' | '.join([str(seed), method, *shares, total, *told])} |")
    means = ", ".join(f"{method}: {statistics.fmean(found):.2f} ({len(found)})" for method, found in ratios.items())
    console = Console()
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    console.print(f"Mean ratio over the seeds that got there: {means}", highlight=False, soft_wrap=True)


def draw(trials: Sequence[Mapping[str, Any]], folder: Path = FIGURES) -> None:
    """Draw what the issue of vanishing advantages looks like with each method."""
    efficiency = {
        f"sampled accuracy (validation) over {cost}": _lines(trials, partial(accuracy_over, cost=cost))
        for cost in ("completions", "seconds")
    }
    draw_panels(efficiency, folder / "replay_efficiency.png")
    title = next(iter(efficiency))
    draw_panels({title: efficiency[title]}, folder / "accuracy_ssb.png")  # the README's picture
    signal = {
        "effective fraction of rollouts": _lines(trials, lambda t: _smooth(t, "rollout/effective_fraction")),
        "samples in the batch that are replayed": _lines(trials, lambda t: _smooth(t, "buffer/replay_fraction")),
        "age of replayed samples, optimizer steps": _lines(trials, lambda t: _smooth(t, "buffer/replay_age")),
        "clipped fraction of replayed samples": _lines(trials, lambda t: _smooth(t, "train/clipped_fraction_replay")),
        "mean log-ratio of replayed samples": _lines(trials, lambda t: _smooth(t, "train/log_ratio_replay")),
        "clipped fraction of fresh samples": _lines(trials, lambda t: _smooth(t, "train/clipped_fraction_fresh")),
    }
    draw_panels(signal, folder / "replay_signal.png", columns=3)


def _lines(trials: Sequence[Mapping[str, Any]], points: Any) -> dict[str, list[list[tuple[float, float]]]]:
    return {method: [points(trial) for trial in trials if trial["method"] == method] for method in METHODS}


def _smooth(trial: Mapping[str, Any], tag: str, window: int = 15) -> list[tuple[float, float]]:
    points = trial["curves"].get(tag, [])
    values = [value for _, value, _ in points]
    return [(step, statistics.fmean(values[max(0, i - window + 1) : i + 1])) for i, (step, _, _) in enumerate(points)]


if __name__ == "__main__":
    main()
