"""``make bench-async``: the gain of sampling a rollout ahead, with an engine that takes as long as the learner's own
work.

The engine is simulated (experiments/ahead/slow_engine.py): it gives the same completions for every rollout, after a
wait. So it uses no processor time, like a server elsewhere, and only the waiting is measured. A step is one rollout and
one optimizer step on all of its completions, as in ``make bench-grpo``.

    alone    the engine answers at once: seconds of scoring, exchange and update, U
    turns    the engine takes U, and the learner waits for it
    ahead    the engine takes U, and samples the next rollout meanwhile

All three weigh tokens by truncated importance sampling, without which no rollout may be ahead; ``turns, uncorrected``
leaves it out, as a run that waits may. Rounds alternate. Writes runs/bench/ahead.json: seconds per step and idle shares
(medians), ``gain`` = turns / ahead, ``gain_over_uncorrected``, ``settings``.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from rich.console import Console
from rich.table import Table

from cli.app import run
from datamodules import ShapesFolder
from experiments.speed.clock import WARM_UP, StepClock
from experiments.speed.our_flags import our_flags
from experiments.speed.subjects import fresh_policy, plain_copy

OUT = Path("runs/bench/ahead.json")
CORRECTED = ("--model.init_args.grpo.engine_ratio_cap=2.0",)
AHEAD = (*CORRECTED, "--model.init_args.rollouts_ahead=1")
IDLE = ("time/learner_idle_fraction", "time/engine_idle_fraction")


class Rounds(Callback):
    """Keeps the end of every step and the idle shares of every rollout."""

    def __init__(self) -> None:
        """Start without steps."""
        self.clock = StepClock()
        self.idle: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        """Note them."""
        self.clock.end_step()
        logged = trainer.callback_metrics
        self.idle.append({key: float(logged[key]) for key in IDLE if key in logged})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=256, help="per step")
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=24, help="of every completion")
    parser.add_argument("--steps", type=int, default=10, help=f"of a round; the first {WARM_UP} are not counted")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        policy = plain_copy(fresh_policy(Path(root)), Path(root) / "policy")
        # One rollout more than steps: the last rollout is sampled ahead and never used.
        num_prompts = (options.steps + 1) * options.completions // options.group_size
        folder = ShapesFolder(num_train=num_prompts, num_val=1, num_test=1, root=root)
        folder.prepare()

        def measure(seconds: float, *extra: str) -> dict[str, float]:
            settings = argparse.Namespace(**vars(options), precision="32-true", recompute=False)
            return measured([*our_flags(policy, folder, settings), *engine(seconds), *extra])

        rounds: list[dict[str, dict[str, float]]] = []
        for _ in range(options.rounds):
            alone = measure(0.0, *CORRECTED)
            pace = alone["step"]
            rounds.append({
                "alone": alone,
                "turns": measure(pace, *CORRECTED),
                "ahead": measure(pace, *AHEAD),
                "turns, uncorrected": measure(pace),
            })  # fmt: skip
    report(rounds, vars(options))


def engine(seconds: float) -> list[str]:
    """Return the flags of an engine that takes so many seconds."""
    path = "--model.init_args.engine"
    return [
        f"{path}=experiments.ahead.slow_engine.SlowEngine", f"{path}.init_args.seconds={seconds}",
        f"{path}.init_args.repeats=true", "--callbacks.rounds=experiments.ahead.bench.Rounds",
    ]  # fmt: skip


def measured(flags: list[str]) -> dict[str, float]:
    """Return seconds per step and idle shares of one run, medians over its steps."""
    trainer: Any = run(flags).trainer
    # Found by name: when this file runs as a script, its classes are not the objects that the configuration names.
    rounds = next(callback for callback in trainer.callbacks if type(callback).__name__ == "Rounds")
    idle = {key: statistics.median(seen[key] for seen in rounds.idle[WARM_UP:]) for key in IDLE}
    return {"step": rounds.clock.step} | idle


def report(rounds: list[dict[str, dict[str, float]]], settings: dict[str, Any]) -> None:
    """Write and print medians over rounds; ratios are taken within a round, whose runs share the machine's load."""
    runs = {
        name: {key: statistics.median(each[name][key] for each in rounds) for key in rounds[0][name]}
        for name in rounds[0]
    }
    gains = [each["turns"]["step"] / each["ahead"]["step"] for each in rounds]
    over_uncorrected = [each["turns, uncorrected"]["step"] / each["ahead"]["step"] for each in rounds]
    result = {
        "gain": statistics.median(gains), "gains": gains,
        "gain_over_uncorrected": statistics.median(over_uncorrected), "runs": runs, "settings": settings,
    }  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    table = Table(title=f"a rollout ahead: {result['gain']:.2f} times as fast as taking turns")
    for heading in ("", "seconds per step", "learner idle", "engine idle"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in runs.items():
        table.add_row(name, f"{row['step']:.2f}", *(f"{row[key]:.0%}" for key in IDLE))
    Console().print(table)


if __name__ == "__main__":
    main()
