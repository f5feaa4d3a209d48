"""The short answers on top of docs/results.md: what the buffer brings and costs, and where hallucination is highest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from experiments.claims.arms import PLAIN, SSB
from experiments.claims.measures import COVERAGE, HALLUCINATION, SAMPLED, SAMPLED_OVER_RUN
from experiments.reproduce import shown
from experiments.reproduce.stored import StoredRun, stored_mean
from experiments.reproduce.verdicts import RunsByArm, Verdict


@dataclass(frozen=True)
class Buffer:
    """What the page says of the buffer in two sentences; all as it is shown."""

    accuracy: str
    accuracy_without: str
    at_the_end: str
    over_the_run: str
    seconds: str
    seconds_without: str
    word: str
    confidence: str
    seeds: str
    answers: str
    """What is shown, contradicted and open, in words."""


def the_buffer(found: Verdict, runs: RunsByArm) -> Buffer:
    """Return the short answer about the buffer.

    Args:
        found: the verdict of the claim ``ssb``.
        runs: the stored runs.
    """
    with_it, without = runs[SSB.name], runs[PLAIN.name]
    differences = {
        judged.expectation.measure: shown.difference(judged.interval, judged.expectation.measure)
        for judged in found.judged
        if (judged.expectation.of, judged.expectation.than) == (SSB.name, PLAIN.name)
    }
    return Buffer(
        accuracy=shown.mean(stored_mean(with_it, SAMPLED), SAMPLED),
        accuracy_without=shown.mean(stored_mean(without, SAMPLED), SAMPLED),
        at_the_end=differences[SAMPLED],
        over_the_run=differences[SAMPLED_OVER_RUN],
        seconds=_seconds(with_it),
        seconds_without=_seconds(without),
        word=found.word,
        confidence=found.confidence,
        seeds=shown.seeds(found.seeds),
        answers=". ".join(_answers(found)),
    )


def _answers(found: Verdict) -> Iterator[str]:
    for answer in ("shown", "contradicted", "open", "not judged"):
        if sentences := [judged.expectation.says for judged in found.judged if judged.answer == answer]:
            yield f"{answer.capitalize()}: {'; '.join(sentences)}"


def spans(runs: RunsByArm) -> dict[str, str]:
    """Return the lowest and the highest hallucination rate among the seeds of each arm."""
    found = {name: [run.value(HALLUCINATION) for run in by_seed.values()] for name, by_seed in runs.items()}
    known = {name: [value for value in values if value is not None] for name, values in found.items()}
    return {name: f"{100 * min(each):.1f} to {100 * max(each):.1f} %" for name, each in known.items() if each}


def rates(runs: RunsByArm) -> dict[str, str]:
    """Return the hallucination rate of each arm, as it is shown."""
    return {name: shown.mean(stored_mean(by_seed, HALLUCINATION), HALLUCINATION) for name, by_seed in runs.items()}


def ranking(runs: RunsByArm) -> str:
    """Return a table of the arms that have runs, the highest hallucination rate first."""
    known = {name: mean for name, by_seed in runs.items() if (mean := stored_mean(by_seed, HALLUCINATION)) is not None}
    rows = [
        [
            f"`{name}`",
            str(known[name].n),
            *(shown.mean(stored_mean(runs[name], measure), measure) for measure in (HALLUCINATION, COVERAGE, SAMPLED)),
        ]
        for name in sorted(known, key=lambda name: -known[name].mean)
    ]
    titles = (measure.title for measure in (HALLUCINATION, COVERAGE, SAMPLED))
    return shown.table(("run", "seeds", *titles), rows)


def _seconds(by_seed: Mapping[int, StoredRun]) -> str:
    # The quickest: other programs only ever make a run slower.
    return f"{min(run.seconds for run in by_seed.values()):.0f}" if by_seed else shown.NONE
