"""The numbers of one benchmark, and its judged samples."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from evaluation.benchmarks import BENCHMARKS
from evaluation.config import EvaluationConfig
from evaluation.judging.model_judge import Judge
from evaluation.judging.verdicts import Verdict, agreement, project_verdicts, why_they_differ
from evaluation.samples import JudgedSample, read_samples, write_samples
from evaluation.scores import Measured, ScoredSample, Summary, summarize
from storage import whole_file

RESULT = "result.json"
SAMPLES = "samples.jsonl"
PICTURES = "pictures"
_SUFFIXES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of one benchmark, for one line of the table; rates in [0, 1]."""

    benchmark: str
    harness: str
    """Harness that scored the benchmark, with its version."""

    score: float | None
    """Primary score of the harness."""

    metric: str
    """Name of that score in the harness."""

    summary: Summary | None = None
    """Summary of the samples; None for a result of another harness, which has no samples."""

    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    """All scores of the harness, by name."""

    num_failed: int = 0
    """Number of failed requests, each of which loses its sample."""

    agreement: float | None = None
    """Share of completions with equal verdicts of harness and project."""

    num_compared: int = 0
    differences: Mapping[str, int] = field(default_factory=dict[str, int])
    """Number of disagreements by kind."""

    judge_agreement: float | None = None
    """Share of completions with equal verdicts of judge and harness."""

    num_judged: int = 0
    judge_score: float | None = None
    """Share of completions that the judge calls right."""

    seconds: float = 0.0
    folder: str = ""


def outcome_of(
    name: str, measured: Measured, config: EvaluationConfig, *, judge: Judge | None, seconds: float
) -> tuple[Outcome, list[tuple[JudgedSample, tuple[bytes, ...]]]]:
    """Return the numbers of a benchmark, and its samples with their encoded pictures.

    Args:
        name: name of the benchmark.
        measured: results that evalscope wrote.
        config: the evaluation.
        judge: a model that judges completions too.
        seconds: duration of the benchmark.
    """
    known, samples = BENCHMARKS[name], measured.samples
    by_evalscope = [None if sample.score is None else sample.score > 0.5 for sample in samples]
    project = project_verdicts(samples, known.judgement, needs_reasoning=config.needs_reasoning)
    ours = agreement(by_evalscope, [verdict.is_right for verdict in project])
    by_judge = judge.verdicts(samples) if judge else [None] * len(samples)
    judged = agreement(by_evalscope, by_judge)
    said = [verdict for verdict in by_judge if verdict is not None]
    summary = summarize(samples, pass_at=config.generation.pass_at)
    outcome = Outcome(
        benchmark=name, harness="evalscope 1.14.1", score=measured.metrics.get(measured.primary, summary.accuracy),
        metric=measured.primary or "accuracy", summary=summary, metrics=measured.metrics,
        num_failed=measured.num_failed, agreement=ours.rate, num_compared=ours.num_both,
        differences=why_they_differ(by_evalscope, project, ours.disagreements), judge_agreement=judged.rate,
        num_judged=len(said), judge_score=sum(said) / len(said) if said else None, seconds=round(seconds, 1),
    )  # fmt: skip
    rows = [
        (_judged_sample(name, *one), one[0].pictures)
        for one in zip(samples, by_evalscope, project, by_judge, strict=True)
    ]
    return outcome, rows


def write_outcome(folder: Path, outcome: Outcome, samples: Sequence[tuple[JudgedSample, tuple[bytes, ...]]]) -> Outcome:
    """Write samples and pictures, then the result, which marks the benchmark as finished; return it with its folder."""
    written: list[JudgedSample] = []
    # Encoded picture -> name of its file: completions of one question share the picture.
    names: dict[bytes, str] = {}
    outcome = replace(outcome, folder=str(folder))
    for number, (sample, pictures) in enumerate(samples):
        for picture in pictures:
            if picture not in names:
                names[picture] = f"{PICTURES}/{number:06d}-{len(names)}.{_suffix(picture)}"
                file = folder / names[picture]
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(picture)
        written.append(replace(sample, pictures=tuple(names[picture] for picture in pictures)))
    write_samples(folder / SAMPLES, written)
    # Written last: a benchmark counts as finished when this file exists.
    with whole_file(folder / RESULT) as draft:
        draft.write_text(json.dumps(asdict(outcome), indent=2))
    return outcome


def join_samples(root: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write the samples of all benchmarks into one file and return it; pictures stay where they are.

    Args:
        root: folder of the evaluation.
        outcomes: outcomes of the benchmarks; those of other harnesses have no samples.
    """
    folders = [Path(outcome.folder) for outcome in outcomes if outcome.summary is not None]
    joined = [
        replace(sample, pictures=tuple(str((folder / name).relative_to(root)) for name in sample.pictures))
        for folder in folders
        for sample in read_samples(folder / SAMPLES)
    ]
    write_samples(root / SAMPLES, joined)
    return root / SAMPLES


def read_outcome(folder: Path) -> Outcome | None:
    """Return a finished outcome; None when there is none."""
    file = folder / RESULT
    if not file.is_file():
        return None
    return outcome_of_row(json.loads(file.read_text()) | {"folder": str(folder)})


def outcome_of_row(row: dict[str, object]) -> Outcome:
    """Return an outcome from its JSON object, in which keys that are numbers became texts."""
    summary = row["summary"]
    if isinstance(summary, dict):
        pass_at = {int(k): value for k, value in summary["pass_at"].items()}
        categories = {name: tuple(pair) for name, pair in summary["by_category"].items()}
        row = row | {"summary": Summary(**summary | {"pass_at": pass_at, "by_category": categories})}
    return Outcome(**row)  # pyright: ignore[reportArgumentType]


def _judged_sample(
    name: str, sample: ScoredSample, by_evalscope: bool | None, project: Verdict, by_judge: bool | None
) -> JudgedSample:
    verdicts = {"evalscope": by_evalscope, "project": project.is_right}
    return JudgedSample(
        benchmark=name, uid=sample.uid, category=sample.category, question=sample.question,
        completion=sample.completion, answer=sample.answer, correct=by_evalscope,
        reason=sample.problem or project.reason, tokens=sample.tokens,
        verdicts=verdicts if by_judge is None else verdicts | {"judge": by_judge},
    )  # fmt: skip


def _suffix(picture: bytes) -> str:
    return next((suffix for magic, suffix in _SUFFIXES.items() if picture.startswith(magic)), "png")
