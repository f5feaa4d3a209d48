"""``make quickstart``: build the tiny policy, train it with GRPO, and show what has changed on held-out pictures.

Writes ``runs/quickstart/summary.json``: ``before`` and ``after`` with the measures below, ``seconds`` by stage.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

CONFIG = "configs/tiny/grpo.yaml"
FOLDER = Path("runs/quickstart")
MEASURES = {
    "greedy_accuracy": "Greedy accuracy",
    "sampled_accuracy": "Sampled accuracy",
    "hallucination_rate": "Hallucination rate",
    "effective_fraction": "Effective-sample fraction",
}
SHORT_FLAGS = ["--trainer.max_steps=8", "--trainer.val_check_interval=8"]

EFFECTIVE = (
    "Effective-sample fraction: the share of questions whose sampled answers are right in part. It falls as more "
    "are all right, and the buffer fills the places."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the quickstart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of everything, from the world to the sampling")
    parser.add_argument("--short", action="store_true", help="a few steps only, to check that it runs")
    options = parser.parse_args(arguments)
    console = Console()
    # Imported late: it takes seconds, which --help does not need.
    from cli.app import build, run

    shared = ["--config", CONFIG, "--seed_everything", str(options.seed), "--trainer.logger.save_dir=runs"]
    shared += ["--trainer.logger.name=quickstart"]
    # The folder is that of the last quickstart; without this the runs of this one would get numbers.
    shutil.rmtree(FOLDER, ignore_errors=True)
    exported = FOLDER / "policy"
    seconds: dict[str, float] = {}

    def stage(name: str, title: str, command: Sequence[str], act: Callable[[Sequence[str]], Any] = run) -> Any:
        console.rule(title)
        started = time.perf_counter()
        result = act(command)
        seconds[name] = round(time.perf_counter() - started, 1)
        return result

    base, grpo = ("--trainer.logger.version=base", "--trainer.logger.version=grpo")
    stage("build", "1/4  Building the tiny policy (first time only)", ["test", *shared, base], build)
    # The same held-out pictures before and after training.
    before = stage("test_before", "2/4  Held-out test of the aligned base", ["test", *shared, base])
    training = ["fit", *shared, grpo, "--callbacks.export=callbacks.ExportPolicy",
                f"--callbacks.export.folder={exported}", *(SHORT_FLAGS if options.short else [])]  # fmt: skip
    stage("train", "3/4  GRPO with the Selective Sample Buffer", training)
    trained = ["--model.init_args.policy=models.PretrainedPolicy", f"--model.init_args.policy.path={exported}"]
    after = stage("test_after", "4/4  Held-out test of the trained policy", ["test", *shared, grpo, *trained])

    summary = {
        "seed": options.seed,
        "before": measures(before.trainer.callback_metrics),
        "after": measures(after.trainer.callback_metrics),
        "seconds": {**seconds, "total": round(sum(seconds.values()), 1)},
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    console.print(comparison(summary))
    console.print(EFFECTIVE)
    console.print(f"{summary['seconds']['total']:.0f} seconds in all; written to {FOLDER}/summary.json")
    console.print("Look at the run: [bold].venv/bin/tensorboard --logdir runs/quickstart[/bold]")


def measures(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the four measures of a test run."""
    return {name: round(float(metrics[f"test/{name}"]), 4) for name in MEASURES}


def comparison(summary: dict[str, Any]) -> Table:
    """Return the closing table."""
    table = Table(title="Held-out test pictures")
    for heading in ("", "before", "after", "change"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, label in MEASURES.items():
        before, after = summary["before"][name], summary["after"][name]
        table.add_row(label, f"{before:.1%}", f"{after:.1%}", f"{100 * (after - before):+.1f} points")
    return table


if __name__ == "__main__":
    main()
