"""The sentences of a claim with the numbers that they take from the stored runs.

There is little to filter: {{ mean("grpo_plain", EFFECTIVE_EARLY) }} of the first groups teach something.
"""

from collections.abc import Callable

from jinja2 import Environment, StrictUndefined

from experiments.claims import Measure, measures
from experiments.reproduce import shown
from experiments.reproduce.stored import stored_mean
from experiments.reproduce.verdicts import RunsByArm

_MEASURES = {name: value for name, value in vars(measures).items() if isinstance(value, Measure)}


def filled_in(text: str, runs: RunsByArm) -> str:
    """Return a text with its numbers: the mean of a measure over the seeds of an arm, or its lowest and highest.

    Args:
        text: ``why`` or ``limits`` of a claim.
        runs: the stored runs.

    Raises:
        jinja2.UndefinedError: for a measure that is not one of ``measures.py``.
        KeyError: for an arm that is not there.
    """

    def mean(arm: str, measure: Measure) -> str:
        return shown.mean(stored_mean(runs[arm], measure), measure)

    def span(arm: str, measure: Measure) -> str:
        values = [value for run in runs[arm].values() if (value := run.value(measure)) is not None]
        return shown.span(values, measure)

    functions: dict[str, Callable[[str, Measure], str]] = {"mean": mean, "span": span}
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(text).render(**functions, **_MEASURES)
