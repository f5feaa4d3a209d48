"""Reads evalscope's results from its files: samples with their scores, and the numbers of its report.

OUT/reviews/MODEL/NAME_SUBSET.jsonl       one line for each scored sample
OUT/predictions/MODEL/NAME_SUBSET.jsonl   one line for each completion, with why it ended
OUT/reports/MODEL/NAME.json               aggregated scores; how many requests failed
"""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from algorithms import DataError, pass_at_k

CONFIDENCE = 0.95
# A refused request becomes a completion with the error message and this finish reason.
_REFUSED = ("model_length", "content_filter")


@dataclass(frozen=True, kw_only=True)
class ScoredSample:
    """One completion and evalscope's score."""

    uid: str
    """Subset and number of the question, which all completions of the question share."""

    run: int
    """Number of the completion among those of its question, from 0."""

    category: str
    score: float | None
    """Score in [0, 1]; None: the request failed, or evalscope could not score the completion."""

    question: str
    completion: str
    answer: str | None
    tokens: int | None
    tolerance: float | None = None
    """Largest difference from a gold number that is still right; None: numbers are exact."""

    pictures: tuple[bytes, ...] = ()
    """Encoded pictures, in the order of the prompt."""

    problem: str = ""
    """Why there is no score."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Evalscope's results of one benchmark."""

    samples: tuple[ScoredSample, ...]
    num_failed: int
    """Number of requests without a completion, each of which loses its sample."""

    metrics: dict[str, float] = field(default_factory=dict[str, float])
    """All scores of the report by name, in the report's units."""

    primary: str = ""
    """Name of the report's primary metric."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The numbers of one benchmark in the table; rates in [0, 1]."""

    accuracy: float | None
    """Mean score over questions and runs: pass@1."""

    low: float | None
    high: float | None
    """Ends of the 95 % bootstrap interval of the accuracy over questions; None with a single scored question."""

    pass_at: dict[int, float]
    num_questions: int
    num_samples: int
    tokens: float | None
    """Mean length of a completion."""

    by_category: dict[str, tuple[float, int]]
    """Accuracy and number of scored samples."""


def read_measured(folder: Path) -> Measured:
    """Return evalscope's results of one benchmark.

    Args:
        folder: evalscope's work folder, which holds only one benchmark.

    Raises:
        DataError: there is no report, because the run did not end.
    """
    reports = sorted(folder.glob("reports/*/*.json"))
    if not reports:
        raise DataError(f"{folder} has no report of evalscope: its run did not end. Its log is in {folder}/logs.")
    report = json.loads(reports[0].read_text())
    metrics = {_metric_name(metric): float(metric["score"]) for metric in report["metrics"]}
    identity = report.get("primary_metric_identity")
    primary = _metric_name({"identity": identity}) if identity else next(iter(metrics), "")
    # (name of the file, index of the question and run) -> why the completion ended
    ends = {(stem, row["index"]): _end(row) for stem, row in _lines(folder, "predictions")}
    # Indexed by question and run: a line that was written before and after a kill is one sample.
    rows = {(stem, row["index"]): row for stem, row in _lines(folder, "reviews")}
    prefix = f"{report['dataset_name']}_"
    samples = [_sample(row, stem.removeprefix(prefix), ends.get((stem, i), "")) for (stem, i), row in rows.items()]
    summary = report.get("execution_summary") or {}
    # evalscope does not count a refused request as an error: it takes the message for a completion.
    failed = int(summary.get("errored", 0)) + sum(sample.problem == "request refused" for sample in samples)
    return Measured(
        samples=tuple(sorted(samples, key=lambda sample: (sample.uid, sample.run))), num_failed=failed,
        metrics=metrics, primary=primary,
    )  # fmt: skip


def summarize(samples: Sequence[ScoredSample], *, pass_at: Sequence[int], seed: int = 0) -> Summary:
    """Return the numbers of one benchmark.

    Args:
        samples: all samples; samples without a score are left out of every mean.
        pass_at: the k of pass@k; questions with fewer scored completions are left out.
        seed: seed of the bootstrap.
    """
    questions: dict[str, list[float]] = {}
    categories: dict[str, list[float]] = {}
    for sample in samples:
        if sample.score is not None:
            questions.setdefault(sample.uid, []).append(sample.score)
            categories.setdefault(sample.category, []).append(sample.score)
    # (questions,): completions of one question depend on each other, so intervals are over questions.
    means = np.array([np.mean(scores) for scores in questions.values()])
    low, high = bootstrap_interval(means, seed=seed)
    tokens = [sample.tokens for sample in samples if sample.tokens is not None]
    return Summary(
        accuracy=float(means.mean()) if len(means) else None, low=low, high=high,
        pass_at={k: value for k in pass_at if (value := _pass_at(list(questions.values()), k)) is not None},
        num_questions=len(questions), num_samples=sum(map(len, questions.values())),
        tokens=float(np.mean(tokens)) if tokens else None,
        by_category={name: (float(np.mean(scores)), len(scores)) for name, scores in sorted(categories.items())},
    )  # fmt: skip


def bootstrap_interval(means: "np.ndarray[Any, Any]", *, seed: int) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of the mean over questions; None without at least two questions."""
    if len(means) < 2:
        return None, None
    interval = stats.bootstrap(
        (means,), np.mean, confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _pass_at(questions: Sequence[Sequence[float]], k: int) -> float | None:
    # pass@k counts right completions, so a fractional score is right above one half.
    rates = [
        pass_at_k(torch.tensor([sum(score > 0.5 for score in scores)]), num_samples=len(scores), k=k)
        for scores in questions
        if len(scores) >= k
    ]
    return float(torch.cat(rates).mean()) if rates else None


def _metric_name(metric: dict[str, Any]) -> str:
    identity = metric["identity"]
    parts = [str(value) for value in identity["dimensions"].values()]
    aggregation = identity["aggregation"]
    # "mean" and "identity" in a metric's name are useless for readers of the table.
    return "/".join([identity["name"], *([] if aggregation in ("mean", "identity") else [aggregation]), *parts])


def _lines(folder: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(folder.glob(f"{kind}/*/*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                yield file.stem, json.loads(line)
            except json.JSONDecodeError:
                # The unfinished last line of a killed run; the harness has repeated its sample.
                continue


def _end(row: dict[str, Any]) -> str:
    choices = row["model_output"]["choices"]
    return choices[0]["stop_reason"] if choices else ""


def _sample(row: dict[str, Any], subset: str, end: str) -> ScoredSample:
    review, score = row["sample_score"], row["sample_score"]["score"]
    messages = row["messages"]
    asked = next((message for message in messages if message["role"] == "user"), {"content": ""})
    answered = [message for message in messages if message["role"] == "assistant"]
    problem = "request refused" if end in _REFUSED else "" if score["status"] == "success" else str(score["status"])
    value = _main_value(score)
    perf = (answered[-1].get("perf_metrics") if answered else None) or {}
    gold = ",".join(row["target"]) if isinstance(row["target"], list) else row["target"]
    known = review.get("sample_metadata") or {}
    return ScoredSample(
        uid=f"{subset}/{review['group_id']}", run=review["generation_index"] or 0, category=subset,
        score=None if problem or value is None else value, question=_text(asked["content"]),
        completion=score["prediction"] or (_text(answered[-1]["content"]) if answered else ""),
        answer=gold or None, tolerance=_tolerance(known.get("error")), tokens=perf.get("output_tokens"),
        pictures=tuple(_pictures(asked["content"])), problem=problem or ("" if value is not None else "no score"),
    )  # fmt: skip


def _main_value(score: dict[str, Any]) -> float | None:
    values = score["value"]
    if not values:
        return None
    return float(values.get(score["main_score_name"], next(iter(values.values()))))


def _tolerance(error: Any) -> float | None:
    """Return OlympiadBench's tolerance, a text in its files; None for several tolerances (of several answers)."""
    try:
        return float(error)
    except (TypeError, ValueError):
        return None


def _text(content: Any) -> str:
    """Return the text of a message, with ``<image>`` where a picture stands."""
    if isinstance(content, str):
        return content
    return "".join("<image>" if part["type"] == "image" else part.get("text", "") for part in content)


def _pictures(content: Any) -> Iterator[bytes]:
    for part in content if isinstance(content, list) else ():
        if part["type"] == "image" and part["image"].startswith("data:"):
            yield base64.b64decode(part["image"].partition(",")[2])
