"""Writes the table of an evaluation in Markdown, JSON and HTML: each score beside the paper's score and its source."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from evaluation.benchmarks import BENCHMARKS, NOT_REPORTED
from evaluation.config import EvaluationConfig
from evaluation.outcome import Outcome
from storage import whole_file

HEADINGS = (
    "benchmark", "score", "metric", "accuracy (pass@1)", "95 % interval", "pass@k", "questions x runs", "failed",
    "tokens", "agreement", "judge", "R1V2-38B", "source",
)  # fmt: skip


def table_cells(config: EvaluationConfig, outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the cells of each row; empty columns are left out."""
    rows = [[*_cells(outcome), *_paper_cells(config, outcome)] for outcome in outcomes]
    shown = [i for i in range(len(HEADINGS)) if any(row[i] for row in rows)]
    return [HEADINGS[i] for i in shown], [[row[i] for i in shown] for row in rows]


def notes(config: EvaluationConfig, outcomes: Sequence[Outcome]) -> list[str]:
    """Return notes that a reader needs besides the numbers."""
    generation = config.generation
    told = [
        f"Sampled with temperature {generation.temperature:g}, top_p {generation.top_p:g}, repetition penalty "
        f"{generation.repetition_penalty:g}, at most {generation.max_tokens} tokens, {generation.num_runs} "
        f"{'run' if generation.num_runs == 1 else 'runs'}; prompt: {config.prompt}; system turn: "
        f"{config.system or 'none'}. The paper reports 64K tokens and 5 runs; temperature and top_p are not reported.",
        "Interval: bootstrap over questions (percentile, 9,999 resamples). Failed: requests without a completion; each "
        "costs its sample. Agreement: completions on which the harness and this project's verifier say the same.",
    ]
    if config.made_up:
        told.append("**The data are made up**, in the layout of the benchmarks: no score says anything about them.")
    if config.limit is not None:
        told.append(f"**Only {config.limit} questions of each subset**: not comparable with the paper.")
    for outcome in outcomes:
        title, known = BENCHMARKS[outcome.benchmark].title, BENCHMARKS[outcome.benchmark]
        if outcome.num_failed:
            told.append(f"{title}: {outcome.num_failed} requests failed and are in no mean.")
        if known.shows and known.paper is not None and not config.made_up:
            told.append(f"{title}: the paper's figure is on: {known.shows}.")
        told += [f"{title}: {count} x {kind}." for kind, count in outcome.differences.items()]
    return told


def categories(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the cells benchmark, category, accuracy, samples."""
    return [
        [BENCHMARKS[outcome.benchmark].title, name, _percent(rate), str(number)]
        for outcome in outcomes
        if outcome.summary is not None
        for name, (rate, number) in outcome.summary.by_category.items()
    ]


def markdown(config: EvaluationConfig, outcomes: Sequence[Outcome]) -> str:
    """Return the whole table as Markdown."""
    parts = [f"# Evaluation of {config.title}", _markdown_table(*table_cells(config, outcomes))]
    parts.append("\n".join(f"- {note}" for note in notes(config, outcomes)))
    if by_category := categories(outcomes):
        parts += ["## By category", _markdown_table(("benchmark", "category", "accuracy", "samples"), by_category)]
    return "\n\n".join(parts) + "\n"


def write_tables(root: Path, config: EvaluationConfig, outcomes: Sequence[Outcome]) -> list[Path]:
    """Write table.md, table.json and table.html, and return their paths."""
    whole: dict[str, Any] = {"policy": config.title, "settings": asdict(config),
                             "benchmarks": [_json_row(config, outcome) for outcome in outcomes]}  # fmt: skip
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("table.html")
    headings, rows = table_cells(config, outcomes)
    html = page.render(
        title=config.title, headings=headings, rows=rows, notes=notes(config, outcomes), categories=categories(outcomes)
    )  # fmt: skip
    texts = {"table.md": markdown(config, outcomes), "table.json": json.dumps(whole, indent=2), "table.html": html}
    for name, text in texts.items():
        with whole_file(root / name) as draft:
            draft.write_text(text, encoding="utf-8")
    return [root / name for name in texts]


def _json_row(config: EvaluationConfig, outcome: Outcome) -> dict[str, Any]:
    known = BENCHMARKS[outcome.benchmark]
    paper = {"model": "R1V2-38B", "score": known.paper and known.paper / 100, "source": known.source or NOT_REPORTED}
    return asdict(outcome) | {"paper": None if config.made_up else paper}


def _cells(outcome: Outcome) -> list[str]:
    known, summary = BENCHMARKS[outcome.benchmark], outcome.summary
    has_interval = summary is not None and summary.low is not None and summary.high is not None
    judged = (
        f"{_percent(outcome.judge_score)}, agrees on {_percent(outcome.judge_agreement)}" if outcome.num_judged else ""
    )
    return [
        f"{known.title}" + ("" if outcome.harness.startswith("evalscope") else f" ({outcome.harness})"),
        _percent(outcome.score),
        outcome.metric,
        _percent(summary.accuracy) if summary else "",
        f"{_percent(summary.low)} to {_percent(summary.high)}" if summary and has_interval else "",
        ", ".join(f"@{k} {_percent(value)}" for k, value in summary.pass_at.items()) if summary else "",
        f"{summary.num_questions} x {summary.num_samples / max(1, summary.num_questions):g}" if summary else "",
        str(outcome.num_failed),
        f"{summary.tokens:.0f}" if summary and summary.tokens is not None else "",
        f"{_percent(outcome.agreement)} of {outcome.num_compared}" if outcome.num_compared else "no verifier",
        judged,
    ]


def _paper_cells(config: EvaluationConfig, outcome: Outcome) -> list[str]:
    known = BENCHMARKS[outcome.benchmark]
    if config.made_up or not known.in_paper:
        return ["none: made-up data" if config.made_up else "", ""]
    return [NOT_REPORTED if known.paper is None else f"{known.paper:.1f} %", known.source]


def _percent(rate: float | None) -> str:
    return "unknown" if rate is None else f"{100 * rate:.1f} %"


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
