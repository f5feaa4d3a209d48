"""The README's table of what GRPO changes, from the stored runs."""

import re
from collections.abc import Mapping
from pathlib import Path

from experiments.claims import Measure
from experiments.claims.arms import BASE, SSB
from experiments.claims.measures import GREEDY, HALLUCINATION, SAMPLED
from experiments.reproduce import shown
from experiments.reproduce.stored import StoredRun, stored_mean
from experiments.reproduce.verdicts import RunsByArm
from run_records import difference

README, PICTURE = Path("README.md"), Path("docs/figures/accuracy_ssb.png")
BEGIN, END = "<!-- numbers from experiments/results -->", "<!-- end of numbers -->"
_MEASURES = (GREEDY, SAMPLED, HALLUCINATION, Measure("val/effective_fraction", "effective-sample fraction"))


def with_numbers(text: str, runs: RunsByArm) -> str:
    """Return the README's text with a new table between its two marks.

    Raises:
        ValueError: when each mark does not occur exactly once.
    """
    block = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
    if len(block.findall(text)) != 1:
        raise ValueError(f"{README} must hold {BEGIN} and {END} once, around the table of stored runs.")
    return block.sub(lambda _: f"{BEGIN}\n{_table(runs)}\n{END}", text)


def _table(runs: RunsByArm) -> str:
    base, trained = runs[BASE.name], runs[SSB.name]
    rows: list[tuple[str, ...]] = []
    for measure in _MEASURES:
        cells = (shown.mean(stored_mean(each, measure), measure) for each in (base, trained))
        rows.append((measure.title, *cells, _change(_values(trained, measure), _values(base, measure))))
    return shown.table((shown.seeds(len(trained)), "before", "after", "change"), rows)


def _values(by_seed: Mapping[int, StoredRun], measure: Measure) -> dict[int | None, float]:
    return {seed: value for seed, run in by_seed.items() if (value := run.value(measure)) is not None}


def _change(after: Mapping[int | None, float], before: Mapping[int | None, float]) -> str:
    if not after or not before:
        return shown.NONE
    change = difference(after, before)
    spread = (
        "" if change.high is None or change.n < shown.FEWEST_SEEDS else f" ± {100 * (change.high - change.mean):.1f}"
    )
    return f"{100 * change.mean:+.1f}{spread} points"
