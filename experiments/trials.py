"""One trial: train with a config and some flags, export, and test what came out on held-out prompts."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.app import run
from cli.quickstart import MEASURES, measures
from run_records import Curve, read_curves

ROOT = Path("runs/experiments")
FIGURES = Path("docs/figures")
QUIET = ("--trainer.enable_progress_bar=false", "--callbacks.progress=null", "--callbacks.layout=null")


def tested_base(config: str, seed: int, *, name: str) -> dict[str, float]:
    """Return the measures of the policy that a config starts from."""
    flags = _shared([config], seed, name)
    return measures(_metrics(run(["test", *flags])))


def trained_and_tested(configs: Sequence[str], seed: int, *, name: str, flags: Sequence[str] = ()) -> dict[str, float]:
    """Train with the configs laid over each other, then return the measures of the exported policy."""
    shared = [*_shared(configs, seed, name), *flags]
    exported = ROOT / name / "policy"
    export = ["--callbacks.export=callbacks.ExportPolicy", f"--callbacks.export.folder={exported}"]
    run(["fit", *shared, *export])
    trained = ["--model.init_args.policy=models.PretrainedPolicy", f"--model.init_args.policy.path={exported}"]
    return measures(_metrics(run(["test", *shared, *trained])))


def kept_trial(
    folder: Path, method: str, configs: Sequence[str], seed: int, *, flags: Sequence[str], tags: Sequence[str]
) -> None:
    """Train and test one method with one seed and write measures and curves to a file, unless it is there already.

    So seeds can run side by side, and a stopped experiment goes on.
    """
    name = f"{folder.name}_{method.lower().replace(' + ', '_').replace(' ', '_')}-{seed}"
    path = folder / f"{name}.json"
    if path.is_file():
        return
    fewer_samples = (
        "--model.evaluation.num_samples=4",
        "--model.evaluation.pass_at=[4]",
        "--callbacks.completions=null",
    )
    tested = trained_and_tested(configs, seed, name=name, flags=[*fewer_samples, *flags])
    folder.mkdir(parents=True, exist_ok=True)
    trial = {"method": method, "seed": seed, "test": tested, "curves": curves(name, tags)}
    path.write_text(json.dumps(trial) + "\n")


def kept_trials(folder: Path, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return the trials that are there, by seed and method."""
    trials = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    order = list(methods)
    return sorted(trials, key=lambda trial: (trial["seed"], order.index(trial["method"])))


def curves(name: str, tags: Sequence[str]) -> dict[str, Curve]:
    """Return (step, value, time in seconds) of some scalars that the training of a trial logged."""
    return read_curves(ROOT / name, tags)


def write(name: str, result: Any) -> Path:
    """Write a result as JSON and return where."""
    ROOT.mkdir(parents=True, exist_ok=True)
    path = ROOT / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of measures as a Markdown table, shares in percent."""
    names = [key for key in rows[0] if key not in MEASURES]
    lines = [f"| {' | '.join([*names, *MEASURES.values()])} |", f"|{'---|' * (len(names) + len(MEASURES))}"]
    for row in rows:
        cells = [str(row[name]) for name in names] + [f"{100 * row[key]:.1f} %" for key in MEASURES]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shared(configs: Sequence[str], seed: int, name: str) -> list[str]:
    # A trial has the folders of its name; without this a repeated one would get a number.
    for folder in (name, f"{name}-test"):
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    logger = [f"--trainer.logger.save_dir={ROOT.parent}", f"--trainer.logger.name={ROOT.name}"]
    files = [flag for config in configs for flag in ("--config", config)]
    return [*files, "--seed_everything", str(seed), *logger, f"--trainer.logger.version={name}", *QUIET]


def _metrics(cli: Any) -> dict[str, Any]:
    return cli.trainer.callback_metrics
