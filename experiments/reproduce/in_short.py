"""The short answers on top of docs/results.md: what the buffer brings and costs, and where hallucination comes from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments.claims import Arm, Expectation
from experiments.claims.arms import PLAIN, SSB
from experiments.claims.measures import COVERAGE, HALLUCINATION, SAMPLED, SAMPLED_OVER_RUN
from experiments.reproduce import shown
from experiments.reproduce.stored import StoredRun, stored_mean
from experiments.reproduce.verdicts import Answer, Judged, RunsByArm, Verdict, judge

_DOES_IT_HELP: Mapping[Answer, str] = {
    "shown": "Yes",
    "contradicted": "No, it harms",
    "open": "These seeds do not tell",
    "not judged": "Too few seeds to tell",
}
# The arms in the section about hallucination, each with the arm that it is compared with.
_STORY = (
    ("base", None),
    ("sft", "base"),
    ("mpo", "base"),
    ("grpo_ssb", "base"),
    ("grpo_biased_raw", "grpo_ssb"),
    ("grpo_biased_calibrated_from_1", "grpo_biased_raw"),
    ("mpo_online_biased_tau_too_low", "mpo_online_biased_tau_chosen"),
    ("mpo_online_biased_tau_calibrated", "mpo_online_biased_tau_too_low"),
)


@dataclass(frozen=True)
class Buffer:
    """The results of the buffer, as texts for the page."""

    helps: str
    accuracy: str
    accuracy_without: str
    at_the_end: str
    over_the_run: str
    seconds: str
    seconds_without: str
    seconds_more: str
    word: str
    confidence: str
    seeds: str
    answers: str
    """The shown, contradicted and open sentences of the claim, in words."""


def the_buffer(found: Verdict, runs: RunsByArm) -> Buffer:
    """Return the short answer about the buffer.

    Args:
        found: the verdict of the claim ``ssb``.
        runs: the stored runs.
    """
    with_it, without = runs[SSB.name], runs[PLAIN.name]
    compared = {
        judged.expectation.measure: judged
        for judged in found.judged
        if (judged.expectation.of, judged.expectation.than) == (SSB.name, PLAIN.name)
    }
    return Buffer(
        helps=_DOES_IT_HELP[compared[SAMPLED].answer],
        accuracy=shown.mean(stored_mean(with_it, SAMPLED), SAMPLED),
        accuracy_without=shown.mean(stored_mean(without, SAMPLED), SAMPLED),
        at_the_end=shown.difference(compared[SAMPLED].interval, SAMPLED),
        over_the_run=shown.difference(compared[SAMPLED_OVER_RUN].interval, SAMPLED_OVER_RUN),
        seconds=_shown_seconds(with_it),
        seconds_without=_shown_seconds(without),
        seconds_more=_seconds_more(with_it, without),
        word=found.word,
        confidence=found.confidence,
        seeds=shown.seeds(found.seeds),
        answers=". ".join(_answers(found.judged)),
    )


def of_hallucination(arms: Mapping[str, Arm], runs: RunsByArm) -> str:
    """Return the table that says where hallucination comes from here, and what holds it.

    Args:
        arms: by name; rows of others are left out.
        runs: the stored runs.
    """
    rows: list[Sequence[str]] = []
    for name, other in _STORY:
        if name in arms and runs[name]:
            rate = shown.mean(stored_mean(runs[name], HALLUCINATION), HALLUCINATION)
            rows.append((arms[name].says, rate, span(runs[name]), _against(name, other, arms, runs), f"`{name}`"))
    return shown.table(("policy", "hallucination rate", "seed by seed", "difference", "run"), rows)


def span(by_seed: Mapping[int, StoredRun]) -> str:
    """Return the hallucination rate of each seed, as it is shown."""
    values = [value for run in by_seed.values() if (value := run.value(HALLUCINATION)) is not None]
    return ", ".join(f"{100 * value:.1f}" for value in values)


def ranking(arms: Mapping[str, Arm], runs: RunsByArm) -> str:
    """Return a table of the arms that have runs, the highest hallucination rate first."""
    known = {name: mean for name in arms if (mean := stored_mean(runs[name], HALLUCINATION)) is not None}
    measures = (HALLUCINATION, COVERAGE, SAMPLED)
    rows = [
        [
            f"`{name}`",
            arms[name].says,
            str(known[name].n),
            *(shown.mean(stored_mean(runs[name], measure), measure) for measure in measures),
        ]
        for name in sorted(known, key=lambda name: -known[name].mean)
    ]
    return shown.table(("run", "what it is", "seeds", *(measure.title for measure in measures)), rows)


def _against(name: str, other: str | None, arms: Mapping[str, Arm], runs: RunsByArm) -> str:
    """Return the difference to another arm, and whether these seeds show it."""
    if other is None or other not in arms:
        return shown.NONE
    judged = judge(Expectation("", HALLUCINATION, "lower", name, other), runs)
    # In either direction: what is asked is whether these seeds show a difference at all.
    sure = {"shown": ": shown", "contradicted": ": shown", "open": ": open", "not judged": ""}[judged.answer]
    return f"{shown.difference(judged.interval, HALLUCINATION)} against `{other}`{sure}"


def _answers(judged: Sequence[Judged]) -> Iterator[str]:
    for answer in ("shown", "contradicted", "open", "not judged"):
        if sentences := [each.expectation.says for each in judged if each.answer == answer]:
            yield f"{answer.capitalize()}: {'; '.join(sentences)}"


def _shown_seconds(by_seed: Mapping[int, StoredRun]) -> str:
    return f"{_seconds(by_seed):.0f}" if by_seed else shown.NONE


def _seconds_more(with_it: Mapping[int, StoredRun], without: Mapping[int, StoredRun]) -> str:
    if not with_it or not without:
        return shown.NONE
    return f"{100 * (_seconds(with_it) / _seconds(without) - 1):+.0f} %"


def _seconds(by_seed: Mapping[int, StoredRun]) -> float:
    # The fastest run counts, because other programs can only make a run slower.
    return min(run.seconds for run in by_seed.values())
