"""The records of a claim: what to run and what to expect. They contain no code."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Arm:
    """One kind of run; claims that name the same arm share its runs."""

    name: str
    """Name of its stored runs, and of its curves in figures."""

    config: str
    overlays: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    steps: int = 160
    """Optimizer steps."""

    validations: int = 4
    """Number of validations, evenly spaced, the last one at the end."""

    completions_before: int = 0
    """Number of completions that the policy sampled before this run, for pairs or for a pool of prompts."""

    says: str = field(default="", compare=False)
    """What it is, in words; no part of what is run."""


@dataclass(frozen=True)
class Measure:
    """A number of one run, computed from a logged metric."""

    metric: str
    title: str
    at: Literal["start", "end", "mean"] = "end"
    """The first or last stored point of its curve, or the mean over all of them; see ``reproduce/stored.py``."""

    is_share: bool = True
    """Whether the page shows the value in percent and its differences in points."""

    digits: int = 2
    """Behind the point, where it is no share."""


@dataclass(frozen=True)
class Expectation:
    """One sentence of a claim that the numbers can confirm or contradict."""

    says: str
    measure: Measure
    direction: Literal["higher", "lower"]
    of: str
    """Name of the arm that is to be higher or lower."""

    than: str
    """Name of the arm for comparison; equal to ``of`` when two measures of one run are compared."""

    than_measure: Measure | None = None
    """Measure of ``than``; default: ``measure``."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, the runs that test it here, and our reading of the results."""

    name: str
    rank: int
    """Place on the page; the runs of lower ranks come first."""

    title: str
    paper_says: str
    source: str
    """Table or section of the paper."""

    question: str
    arms: Sequence[Arm]
    measures: Sequence[Measure]
    """Columns of the table."""

    expectations: Sequence[Expectation]
    curves: Sequence[str]
    """Metrics of the figure's panels."""

    why: str
    """Our reading of the result; the text marks guesses. A measured number in it or in ``limits`` is written as ``{{
    mean("ARM", MEASURE) }}`` or ``{{ span("ARM", MEASURE) }}``, with a name of ``measures.py``: it is filled in from
    the stored runs."""

    trials: Sequence[Arm] = ()
    """Arms that run only with the first seed, to choose a setting by the first measure."""

    limits: str = ""
    """Limits of this comparison."""

    over: Literal["steps", "completions"] = "steps"
    """The x axis of the figure; completions include those before the run."""

    @property
    def metrics(self) -> list[str]:
        """All logged metrics that it measures or draws."""
        compared = [each for expected in self.expectations for each in (expected.measure, expected.than_measure)]
        measured = [measure.metric for measure in (*self.measures, *compared) if measure is not None]
        return list(dict.fromkeys([*measured, *self.curves]))
