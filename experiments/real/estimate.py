"""How long a chain still takes: the seconds of the stored runs, by rows and tokens, as fast as it has been here."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from experiments.real.asked import Asked
from experiments.real.running import stored
from experiments.real.scales import SCALES, Scale
from experiments.real.stages import STAGES

NUMBERS = Path("docs/results-real.json")
_MEASURED = SCALES["laptop"]
# What a stage's time grows with: every setting that it has of these. The number of rows counts only without steps.
_STEPS, _ROWS = "trainer.max_steps", "data.init_args.source.init_args.num_train"
_SIZES = (
    "data.init_args.reading.batch_size", "data.init_args.prompts_per_rollout", "data.init_args.pairs_per_batch",
    "model.init_args.sampling.max_new_tokens",
)  # fmt: skip


def seconds_left(asked: Asked) -> float | None:
    """Return the seconds that the stages without numbers will take; None where nothing tells.

    On a GPU nothing tells before the first stage has run: the stored runs were on a CPU.
    """
    expected = _expected(asked.chain.scale, asked.stages)
    done = 0.0, 0.0
    left = 0.0
    for seed in asked.seeds:
        for name in asked.stages:
            numbers = asked.chain.numbers(name, seed)
            if numbers.is_file():
                result = stored(numbers)
                done = done[0] + result["seconds"] + result.get("measuring_seconds", 0.0), done[1] + expected[name]
            else:
                left += expected[name]
    if done[1]:
        return left * done[0] / done[1]
    return left if asked.chain.scale.name in ("laptop", "fast") else None


def told(seconds: float | None) -> str:
    """Return the end of a line that says how long it still takes; nothing where that is not known."""
    return "" if seconds is None else f", about {max(1, round(seconds / 60))} min left"


def _expected(scale: Scale, names: Sequence[str]) -> dict[str, float]:
    """Return the expected seconds of stages, training and measuring, on the machine of the stored runs."""
    results: list[dict[str, Any]] = json.loads(NUMBERS.read_text())["stages"]
    expected: dict[str, float] = {}
    for name in names:
        runs = [result for result in results if result["stage"] == name]
        training = sum(run["seconds"] for run in runs) / len(runs) * _work(name, scale) / _work(name, _MEASURED)
        measuring = sum(run.get("measures", {}).get("seconds", 0.0) for run in runs) / len(runs)
        expected[name] = training + measuring * scale.num_prompts / _MEASURED.num_prompts
    return expected


def _work(name: str, scale: Scale) -> float:
    """Return what the seconds of a stage are in proportion to."""
    steps = _setting(name, scale, _STEPS) or _setting(name, scale, _ROWS) or 1.0
    for key in _SIZES:
        steps *= _setting(name, scale, key) or 1.0
    return steps


def _setting(name: str, scale: Scale, key: str) -> float | None:
    """Return a number that a flag of the scale sets, else the stage's config; None where neither does."""
    given = [flag.partition("=")[2] for flag in scale.flags.get(name, ()) if flag.startswith(f"--{key}=")]
    if given:
        return float(given[-1])
    value: Any = _config(STAGES[name].configs[0])
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else float(value)


@cache
def _config(file: str) -> dict[str, Any]:
    return yaml.safe_load(Path(file).read_text())
