"""Judges claims from the stored numbers, by one rule for all.

A sentence of a claim says that a measure of one arm is higher, or lower, than that of another. Its difference is taken
seed by seed, over the seeds whose runs are not known to have started from different policies. With three seeds or more,

    shown          the 95 % interval of the difference lies wholly on the expected side of 0
    contradicted   it lies wholly on the other side
    open it contains 0: these seeds cannot decide

and of the claim,

    holds            every sentence is shown
    holds in part    some are shown, others are open or contradicted
    does not hold    none is shown, and at least one is contradicted
    undecided        all are open
    not judged       fewer than three seeds have finished
    not testable here no run in the tiny world can decide

Confidence is high when five or more seeds leave no sentence open, medium when three or four do, else low.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.claims import Claim, Expectation
from experiments.reproduce.shown import FEWEST_SEEDS
from experiments.reproduce.starts import differ
from experiments.reproduce.stored import StoredRun
from run_records import Interval, mean_interval

MANY_SEEDS = 5

RunsByArm = Mapping[str, Mapping[int, StoredRun]]
Answer = Literal["shown", "contradicted", "open", "not judged"]


@dataclass(frozen=True)
class Judged:
    """One sentence of a claim, with its answer from the runs."""

    expectation: Expectation
    by_seed: Mapping[int, float]
    """Difference by seed, for seeds with both runs."""

    @property
    def interval(self) -> Interval | None:
        """Mean difference and its interval; None without a seed."""
        return mean_interval(list(self.by_seed.values())) if self.by_seed else None

    @property
    def answer(self) -> Answer:
        """The result of the rule above."""
        interval = self.interval
        if interval is None or interval.n < FEWEST_SEEDS or interval.low is None or interval.high is None:
            return "not judged"
        is_above, is_below = interval.low > 0, interval.high < 0
        if not (is_above or is_below):
            return "open"
        return "shown" if is_above == (self.expectation.direction == "higher") else "contradicted"


@dataclass(frozen=True)
class Verdict:
    """A claim with its verdict from the runs."""

    claim: Claim
    judged: Sequence[Judged]

    @property
    def word(self) -> str:
        """The verdict."""
        if not self.claim.expectations:
            return "not testable here"
        answers = [judged.answer for judged in self.judged]
        if "not judged" in answers:
            return "not judged"
        if "shown" in answers:
            return "holds" if set(answers) == {"shown"} else "holds in part"
        return "does not hold" if "contradicted" in answers else "undecided"

    @property
    def seeds(self) -> int:
        """The smallest number of seeds of any sentence."""
        return min((len(judged.by_seed) for judged in self.judged), default=0)

    @property
    def confidence(self) -> str:
        """The result of the rule above."""
        if self.word in ("not testable here", "not judged"):
            return "none"
        if any(judged.answer == "open" for judged in self.judged):
            return "low"
        return "high" if self.seeds >= MANY_SEEDS else "medium"


def verdict(claim: Claim, runs: RunsByArm) -> Verdict:
    """Return the verdict of the stored runs on a claim."""
    return Verdict(claim, [judge(each, runs) for each in claim.expectations])


def judge(expectation: Expectation, runs: RunsByArm) -> Judged:
    """Return what the stored runs say of one sentence."""
    return Judged(expectation, _differences(expectation, runs))


def _differences(expectation: Expectation, runs: RunsByArm) -> dict[int, float]:
    found: dict[int, float] = {}
    for seed, run in runs[expectation.of].items():
        other = runs[expectation.than].get(seed)
        ours = run.value(expectation.measure)
        theirs = other.value(expectation.than_measure or expectation.measure) if other is not None else None
        is_comparable = other is not None and not differ(run, other)
        if is_comparable and ours is not None and theirs is not None:
            found[seed] = ours - theirs
    return found
