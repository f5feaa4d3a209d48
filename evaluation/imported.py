"""Reads scores from the files of VLMEvalKit, lm-eval and lmms-eval.

vlmevalkit   *_acc.csv, *_score.csv: a column Overall, acc or aAcc, in the row of the split or "Overall"
lm-eval      results_*.json: results -> task -> "exact_match,none" and such
lmms-eval    *_results.json: the same form
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from algorithms import DataError
from evaluation.config import ImportedResult
from evaluation.outcome import Outcome

# The first of these columns that a file has is its main score.
_COLUMNS = ("Overall", "acc", "aAcc", "Final Score Norm")
_METRICS = ("exact_match", "acc", "prompt_level_strict_acc", "mmmu_acc", "mmmu_pro_acc", "pope_accuracy", "aAcc")


def read_imported(result: ImportedResult) -> Outcome:
    """Return the score of another harness.

    Raises:
        DataError: the file is missing, or has no score in a known form.
    """
    file = Path(result.path).expanduser()
    if not file.is_file():
        raise DataError(f"imported: there is no file {file.absolute()}.")
    try:
        read = _vlmevalkit if result.harness == "vlmevalkit" else _language_model_harness
        metric, score, metrics = read(file)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"imported: {file} is no file of scores of {result.harness}: {error}.") from None
    return Outcome(benchmark=result.benchmark, harness=result.harness, score=score, metric=metric, metrics=metrics,
                   folder=str(file.parent))  # fmt: skip


def _vlmevalkit(file: Path) -> tuple[str, float, Mapping[str, float]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    column = next((name for name in _COLUMNS if rows and name in rows[0]), None)
    if column is None:
        raise ValueError(f"it has none of the columns {', '.join(_COLUMNS)}")
    # The first column names the split, task or category of a row.
    label = next(iter(rows[0]))
    # Without a row "Overall" the first row is taken.
    row = next((row for row in rows if row[label] == "Overall"), rows[0])
    numbers = {name: _number(text) for name, text in row.items() if name and _number(text) is not None}
    value = numbers[column]
    assert value is not None
    # Most files have percent, some have shares.
    score = value / 100 if value > 1 else value
    return column, score, {name: number for name, number in numbers.items() if number is not None}


def _language_model_harness(file: Path) -> tuple[str, float, Mapping[str, float]]:
    results = json.loads(file.read_text())["results"]
    if len(results) != 1:
        raise ValueError(f"it holds {len(results)} tasks ({', '.join(results)}), and one benchmark is named")
    scores = next(iter(results.values()))
    # A name is such as "exact_match,none", where the part after the comma is a filter; standard errors are no scores.
    metrics = {
        name.partition(",")[0]: float(value)
        for name, value in scores.items()
        if isinstance(value, int | float) and "stderr" not in name
    }
    metric = next((name for name in _METRICS if name in metrics), None)
    if metric is None:
        raise ValueError(f"it has none of {', '.join(_METRICS)}, but {', '.join(metrics) or 'no score'}")
    return metric, metrics[metric], metrics


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").strip().rstrip("%"))
    except ValueError:
        return None
