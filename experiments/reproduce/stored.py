"""Stores the numbers of a run as one small JSON file; the page is computed only from these files.

    {"arm": {...}, "seed": 0, "command": "...", "steps": 200, "seconds": 95.2, "completions": 25600, "metrics": {...},
     "curves": {"val/sampled_accuracy": [[50, 0.61, 6400], ...]}}

A point of a curve is [optimizer step, value, completions of the policy so far]. Validations are stored unchanged;
metrics of every rollout or step are averaged over ten equal parts of the run. What else a claim measures is kept too.
``starts_from`` is that of ``run.json``: a digest of the weights that the run started from.
"""

import itertools
import json
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.claims import Arm, Claim, Measure, all_claims
from run_records import Curve, Interval, RunRecord, mean_interval, read_curves
from storage import whole_file

CURVES = (
    "val/greedy_accuracy", "val/sampled_accuracy", "val/hallucination_rate", "val/coverage", "val/effective_fraction",
    "rollout/effective_fraction", "rollout/accuracy", "rollout/preference", "rollout/hallucination_rate",
    "buffer/batch_samples", "buffer/replay_fraction", "calibration/threshold", "train/pairs_kept",
    "train/preference_accuracy",
)  # fmt: skip
_COMPLETIONS = "rollout/completions_so_far"
_PARTS = 10


@dataclass(frozen=True)
class StoredRun:
    """One run, read back."""

    arm: Arm
    seed: int
    command: str
    date: str
    steps: int
    seconds: float
    completions: int
    """Completions that the policy sampled for training in this run; earlier completions are in ``arm``."""

    metrics: Mapping[str, float | None]
    """Last value of each logged metric."""

    curves: Mapping[str, Sequence[Sequence[float]]]
    versions: Mapping[str, str]
    commit: str | None
    is_dirty: bool | None = None
    """Whether the code was changed after that commit; None where no commit is known, and in older files."""

    starts_from: Mapping[str, str | None] | None = None
    """As in ``run.json``; None in files of before it was kept."""

    @property
    def name(self) -> str:
        """Name of the file, without its ending."""
        return f"{self.arm.name}-s{self.seed}"

    @property
    def start(self) -> str | None:
        """Digest of the policy that the run, or the first of the trainings before it, started from; None: not known."""
        return (self.starts_from or {}).get("first_weights")

    def value(self, measure: Measure) -> float | None:
        """Return a measure; None where the run has no such curve."""
        points = [point[1] for point in self.curves.get(measure.metric, ())]
        if not points:
            return None
        return {"start": points[0], "end": points[-1], "mean": statistics.fmean(points)}[measure.at]


def of_claims_alone(claims: Iterable[Claim]) -> list[str]:
    """Return the metrics that claims measure or draw and that are not stored of every run anyway."""
    return [*dict.fromkeys(metric for claim in claims for metric in claim.metrics if metric not in CURVES)]


def store(record: RunRecord, arm: Arm, folder: Path) -> Path:
    """Write the numbers of a finished run, and return the file."""
    further = of_claims_alone(all_claims().values())
    logged = read_curves(record.folder, [*CURVES, *further, _COMPLETIONS])
    sampled = logged.pop(_COMPLETIONS, [])
    git = record.git or {}
    content = {
        "arm": {key: value for key, value in asdict(arm).items() if key != "says"},
        "seed": record.seed,
        "command": f"python train.py {shlex.join(record.arguments)}",
        "date": record.attempts[-1].started[:10],
        "steps": record.step,
        "seconds": round(record.seconds, 1),
        "completions": round(sampled[-1].value) if sampled else 0,
        "metrics": {name: _rounded(value) for name, value in record.metrics.items() if name.startswith("val/")},
        # A claim's metric that the run does not log is kept as an empty curve: it was asked for.
        "curves": {name: _points(name, logged.get(name, []), sampled, arm) for name in [*logged, *further]},
        "starts_from": record.starts_from,
        "versions": dict(record.versions),
        "commit": git.get("commit"),
        "is_dirty": git.get("is_dirty"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{arm.name}-s{record.seed}.json"
    with whole_file(path) as draft:
        draft.write_text(_written(content))
    return path


def stored_runs(folder: Path, arms: Sequence[Arm]) -> dict[str, dict[int, StoredRun]]:
    """Return the stored runs of some arms, by name of the arm and by seed."""
    found: dict[str, dict[int, StoredRun]] = {arm.name: {} for arm in arms}
    for arm in arms:
        runs = [read(path) for path in folder.glob(f"{arm.name}-s*.json")]
        # A file of an arm that was changed since is ignored.
        found[arm.name] = {run.seed: run for run in sorted(runs, key=lambda run: run.seed) if run.arm == arm}
    return found


def stored_mean(by_seed: Mapping[int, StoredRun], measure: Measure) -> Interval | None:
    """Return the mean of a measure over the runs that have it; None without one."""
    values = [value for run in by_seed.values() if (value := run.value(measure)) is not None]
    return mean_interval(values) if values else None


def read(path: Path) -> StoredRun:
    """Return one stored run."""
    content: dict[str, Any] = json.loads(path.read_text())
    arm = content["arm"]
    content["arm"] = Arm(**{**arm, "overlays": tuple(arm["overlays"]), "flags": tuple(arm["flags"])})
    return StoredRun(**content)


def _points(name: str, curve: Curve, sampled: Curve, arm: Arm) -> list[list[float]]:
    """Return the points of a curve as they are stored."""
    points = curve if name.startswith("val/") else _averaged(curve)
    return [[step, _rounded(value), _completions(step, sampled) + arm.completions_before] for step, value, *_ in points]


def _averaged(curve: Curve) -> Curve:
    parts = min(_PARTS, len(curve))
    bounds = [round(part * len(curve) / parts) for part in range(parts + 1)]
    pieces = [curve[low:high] for low, high in itertools.pairwise(bounds)]
    return [piece[-1]._replace(value=statistics.fmean(point.value for point in piece)) for piece in pieces]


def _completions(step: int, sampled: Curve) -> int:
    return max((round(point.value) for point in sampled if point.step <= step), default=0)


def _rounded(value: float | None) -> Any:
    return None if value is None else float(f"{value:.5g}")


def _written(content: Mapping[str, Any]) -> str:
    """Return JSON with one line for each key, and one for each curve."""
    curves = ",\n".join(f"  {json.dumps(name)}: {json.dumps(points)}" for name, points in content["curves"].items())
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in content.items() if name != "curves"]
    return "{\n" + ",\n".join([*lines, f' "curves": {{\n{curves}\n }}']) + "\n}\n"
