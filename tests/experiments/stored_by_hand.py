"""Stored runs with chosen numbers."""

from collections.abc import Mapping

from experiments.claims import Arm, Claim, Expectation, Measure
from experiments.reproduce.stored import StoredRun

ACCURACY = Measure("val/sampled_accuracy", "sampled accuracy")
ONE, TWO = Arm("one", "configs/tiny/grpo.yaml"), Arm("two", "configs/tiny/grpo.yaml")


def run(arm: Arm, seed: int, *accuracies: float) -> StoredRun:
    """A run with these validations."""
    points = [[step, value, 100 * step] for step, value in enumerate(accuracies)]
    curves = {ACCURACY.metric: points} if accuracies else {}
    return StoredRun(
        arm=arm, seed=seed, command="", date="2026-11-26", steps=160, seconds=1.0, completions=100, metrics={},
        curves=curves, versions={"torch": "2"}, commit=None,
    )  # fmt: skip


def runs(one: list[float], two: list[float]) -> Mapping[str, Mapping[int, StoredRun]]:
    """Two arms with one value per seed."""
    return {
        arm.name: {seed: run(arm, seed, value) for seed, value in enumerate(values)}
        for arm, values in ((ONE, one), (TWO, two))
    }


def claim(*directions: str) -> Claim:
    """A claim that expects of arm two to be higher, or lower, than arm one."""
    expected = [Expectation(f"two is {each}", ACCURACY, each, TWO.name, ONE.name) for each in directions]  # pyright: ignore[reportArgumentType]
    return Claim(
        name="claim", rank=1, title="A claim", paper_says="something", source="table 0", question="Is it so?",
        arms=(ONE, TWO), measures=(ACCURACY,), expectations=expected, curves=(ACCURACY.metric,), why="",
    )  # fmt: skip
