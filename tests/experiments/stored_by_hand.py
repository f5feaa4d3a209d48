"""Stored runs with chosen numbers."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from experiments.claims import Arm, Claim, Expectation, Measure
from experiments.reproduce.stored import StoredRun

ACCURACY = Measure("val/sampled_accuracy", "sampled accuracy")
ONE, TWO = Arm("one", "configs/tiny/grpo.yaml"), Arm("two", "configs/tiny/grpo.yaml")


def run(arm: Arm, seed: int, *accuracies: float, start: str | None = None) -> StoredRun:
    """A run with these validations, and the digest of the policy that it started from."""
    points = [[step, value, 100 * step] for step, value in enumerate(accuracies)]
    curves = {ACCURACY.metric: points} if accuracies else {}
    starts_from = None if start is None else {"path": "runs/built/adapter-1", "weights": start, "first_weights": start}
    return StoredRun(
        arm=arm, seed=seed, command="", date="2026-11-26", steps=160, seconds=1.0, completions=100, metrics={},
        curves=curves, versions={"torch": "2"}, commit=None,
        starts_from=starts_from,
    )  # fmt: skip


def runs(one: list[float], two: list[float]) -> Mapping[str, Mapping[int, StoredRun]]:
    """Two arms with one value per seed."""
    return {
        arm.name: {seed: run(arm, seed, value) for seed, value in enumerate(values)}
        for arm, values in ((ONE, one), (TWO, two))
    }


def written(found: StoredRun, folder: Path) -> Path:
    """The file of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.name}.json"
    path.write_text(json.dumps(asdict(found)))
    return path


def claim(*directions: str) -> Claim:
    """A claim that expects of arm two to be higher, or lower, than arm one."""
    expected = [Expectation(f"two is {each}", ACCURACY, each, TWO.name, ONE.name) for each in directions]  # pyright: ignore[reportArgumentType]
    return Claim(
        name="claim", rank=1, title="A claim", paper_says="something", source="table 0", question="Is it so?",
        arms=(ONE, TWO), measures=(ACCURACY,), expectations=expected, curves=(ACCURACY.metric,), why="",
    )  # fmt: skip
