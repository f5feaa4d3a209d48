"""``make quickstart``: build the tiny policy, train it with GRPO, and show the change on held-out pictures.

Writes ``runs/quickstart/summary.json``: ``before`` and ``after`` with the measures below, ``seconds`` by stage. An
earlier quickstart is kept under the first free number, as ``runs/quickstart-1``.
"""

import argparse
import itertools
import json
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
    if (earlier := set_aside(FOLDER)) is not None:
        console.print(f"The earlier quickstart is kept in {earlier}.")
    # Imported late, because the import takes seconds and --help does not need it.
    from cli.app import build, run

    shared = ["--config", CONFIG, "--seed_everything", str(options.seed), "--trainer.logger.save_dir=runs"]
    shared += ["--trainer.logger.name=quickstart"]
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


def set_aside(folder: Path) -> Path | None:
    """Rename the folder of an earlier quickstart, and return its new name; None when there is none.

    Args:
        folder: folder of the quickstart that starts now; it does not exist afterwards.

    Raises:
        SystemExit: the earlier one is still running.
    """
    if not folder.exists():
        return None
    from cli.run_record.folders import read_quietly
    from run_records.record import RUNNING

    records = [read_quietly(path) for path in folder.iterdir() if path.is_dir()]
    if any(record.status == RUNNING for record in records if record is not None):
        raise SystemExit(f"error: a quickstart is running in {folder}: wait until it has ended, or stop it.")
    names = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(1))
    return folder.rename(next(name for name in names if not name.exists()))


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
