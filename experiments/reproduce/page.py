"""docs/results.md, written from the stored runs alone: a table of findings, then a section for each claim."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.claims import Arm, Claim, Measure
from experiments.reproduce import shown
from experiments.reproduce.in_short import of_hallucination, ranking, the_buffer
from experiments.reproduce.readings import filled_in
from experiments.reproduce.scales import Scale
from experiments.reproduce.starts import told_of_all, told_of_claim
from experiments.reproduce.stored import StoredRun, stored_mean, stored_runs
from experiments.reproduce.verdicts import MANY_SEEDS, Judged, RunsByArm, Verdict, verdict

_LIBRARIES = ("torch", "lightning", "transformers")
_FINDINGS = ("claim", "paper", "here", "verdict", "confidence")


@dataclass(frozen=True)
class Section:
    """The texts of the page about one claim; tables are Markdown."""

    claim: Claim
    word: str
    confidence: str
    seeds: str
    sentences: str
    arms: str
    trials: str
    commands: str
    figure: str
    """Path of the figure from the page; empty without a figure."""

    starts: str
    """What is known of the policies that its runs started from."""

    why: str
    limits: str


def results_page(claims: Sequence[Claim], scale: Scale) -> str:
    """Return the page in Markdown."""
    runs = stored_runs(scale.results, [arm for claim in claims for arm in (*claim.arms, *claim.trials)])
    verdicts = [verdict(claim, runs) for claim in claims]
    every = [run for by_seed in runs.values() for run in by_seed.values()]
    days = sorted({run.date for run in every})
    arms = {arm.name: arm for claim in claims for arm in claim.arms}
    of_buffer = next((each for each in verdicts if each.claim.name == "ssb"), None)
    return rendered(
        "results.md.jinja",
        findings=shown.table(_FINDINGS, [_finding(each) for each in verdicts]),
        buffer=the_buffer(of_buffer, runs) if of_buffer is not None else None,
        hallucination=of_hallucination(arms, runs), ranking=ranking(arms, runs), starts=told_of_all(every),
        sections=[_section(each, runs, scale) for each in verdicts],
        scale=scale, link=partial(_link, scale=scale), fewest=shown.FEWEST_SEEDS, many=MANY_SEEDS,
        runs=every, hours=sum(run.seconds for run in every) / 3600, dates=" to ".join(sorted({*days[:1], *days[-1:]})),
        libraries=", ".join(_libraries(every)),
    )  # fmt: skip


def _libraries(runs: Sequence[StoredRun]) -> list[str]:
    """Return the versions that the runs were made with, of the libraries that decide the most."""
    return sorted({f"{name} {run.versions[name]}" for run in runs for name in _LIBRARIES if name in run.versions})


def rendered(template: str, *, is_html: bool = False, **values: object) -> str:
    """Return one of the templates in this folder, filled in."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=is_html, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(template).render(**values).rstrip("\n") + "\n"


def _finding(found: Verdict) -> tuple[str, ...]:
    """Return the row of a claim in the table on top."""
    claim = found.claim
    main = found.judged[0] if found.judged else None
    here = claim.why if main is None else f"{main.expectation.says}: {_told(main)}, {main.answer}"
    answers = [judged.answer for judged in found.judged]
    tally = ", ".join(f"{answers.count(each)} {each}" for each in ("shown", "contradicted", "open") if each in answers)
    told = f"**{found.word}**{f' ({tally})' if tally else ''}"
    confidence = f"{found.confidence}, {shown.seeds(found.seeds)}" if found.judged else shown.NONE
    return f"[{claim.title}](#{_anchor(claim.title)})", claim.paper_says, here, told, confidence


def _section(found: Verdict, runs: RunsByArm, scale: Scale) -> Section:
    claim = found.claim
    sentences = [(each.expectation.says, _told(each), _by_seed(each), each.answer) for each in found.judged]
    figure = scale.figures / f"{claim.name}.png"
    needed = f"; a verdict needs {shown.FEWEST_SEEDS}" if found.seeds < shown.FEWEST_SEEDS else ""
    return Section(
        claim=claim,
        word=found.word,
        confidence=found.confidence,
        seeds=shown.seeds(found.seeds) + needed,
        sentences=shown.table(("the claim needs that", "difference", "seed by seed", "which is"), sentences),
        arms=_arms_table(claim.arms, claim.measures, runs),
        trials=_arms_table(claim.trials, claim.measures, _first_seed(runs)) if claim.trials else "",
        commands=shown.table(
            ("run", "what it is", "config", "overlays and flags"), [_laid_over(arm) for arm in claim.arms]
        ),
        figure=_link(figure, scale) if figure.is_file() else "",
        starts=told_of_claim(claim, runs),
        why=filled_in(claim.why, runs),
        limits=filled_in(claim.limits, runs),
    )


def _first_seed(runs: RunsByArm) -> RunsByArm:
    """Return only the runs of the first seed: the choice of a setting used no other seed."""
    return {name: dict(list(by_seed.items())[:1]) for name, by_seed in runs.items()}


def _arms_table(arms: Sequence[Arm], measures: Sequence[Measure], runs: RunsByArm) -> str:
    """Return the means of some arms, with their budgets."""
    rows = [
        [
            f"`{arm.name}`",
            str(len(runs[arm.name])) if runs[arm.name] else "0: not run yet",
            *(shown.mean(stored_mean(runs[arm.name], measure), measure) for measure in measures),
            *_budget(arm, list(runs[arm.name].values())),
        ]
        for arm in arms
    ]
    titles = [measure.title for measure in measures]
    return shown.table(
        ("run", "seeds", *titles, "updates", "completions before + in it", "seconds of the quickest"), rows
    )


def _budget(arm: Arm, runs: Sequence[StoredRun]) -> tuple[str, str, str]:
    """Return updates, completions and seconds of an arm's runs."""
    if not runs:
        return shown.NONE, shown.NONE, shown.NONE
    steps, sampled = ({run.steps for run in runs}, {run.completions for run in runs})
    seconds = min(run.seconds for run in runs)
    # Only GRPO counts its completions; MPO has rollouts too when it builds its own pairs.
    is_uncounted = sampled == {0} and any("rollout/accuracy" in run.curves for run in runs)
    told = "not counted" if is_uncounted else _range(sampled)
    return _range(steps), f"{arm.completions_before:,} + {told}", f"{seconds:.0f}"


def _range(numbers: set[int]) -> str:
    return " to ".join(f"{number:,}" for number in sorted({min(numbers), max(numbers)}))


def _laid_over(arm: Arm) -> tuple[str, ...]:
    words = [*arm.overlays, *arm.flags]
    return f"`{arm.name}`", arm.says, f"`{arm.config}`", f"`{shlex.join(words)}`" if words else shown.NONE


def _told(judged: Judged) -> str:
    return shown.difference(judged.interval, judged.expectation.measure) if judged.by_seed else "not run yet"


def _by_seed(judged: Judged) -> str:
    return ", ".join(shown.change(value, judged.expectation.measure) for value in judged.by_seed.values())


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _link(target: str | Path, scale: Scale) -> str:
    return os.path.relpath(target, scale.page.parent)
