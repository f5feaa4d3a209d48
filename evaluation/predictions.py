"""Reads the predictions of ``train.py test`` and ``predict`` as judged samples.

    predictions.jsonl    a line per prompt: completions, reward parts, claims (``callbacks.PredictionWriter``)
    samples.jsonl        a line per completion (``evaluation.samples``)

The part ``accuracy`` of the reward decides what is right; it is also the verdict of this project.
"""

import json
from pathlib import Path
from typing import Any

from algorithms import Claim, DataError
from evaluation.samples import JudgedSample, read_samples


def read_run(file: Path) -> list[JudgedSample]:
    """Return the samples of a file of either form; raises the errors of the two readers."""
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
        # Only predictions have this key, not samples.
        if '"completions"' in first and '"benchmark"' not in first:
            return samples_of_predictions(file)
    return read_samples(file)


def samples_of_predictions(file: Path, benchmark: str = "") -> list[JudgedSample]:
    """Return a sample for each completion of a file of predictions.

    Args:
        file: ``predictions.jsonl``.
        benchmark: name of the data; empty: the name in the file, which is that of the data's folder.

    Raises:
        DataError: a line is no prediction; names file and line.
    """
    found: list[JudgedSample] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                found += [_sample(row, completion, benchmark) for completion in row["completions"]]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise DataError(
                    f"{file}, line {number} is no line of predictions: {type(error).__name__} {error}. Files of "
                    "earlier versions lack the pictures and the places of claims: predict again."
                ) from None
    return found


def _sample(row: dict[str, Any], completion: dict[str, Any], benchmark: str) -> JudgedSample:
    accuracy = completion["reward_parts"].get("accuracy")
    # A score between 0 and 1 is not right; None is an unknown score, which is not wrong.
    correct = None if accuracy is None else accuracy >= 1.0
    claims = [
        Claim(claim["thing"], claim["start"], claim["end"], claim["is_supported"])
        for claim in completion["claims"] or ()
    ]
    return JudgedSample(
        benchmark=benchmark or row["data"],
        uid=row["key"],
        category=row["category"],
        pictures=tuple(row["pictures"]),
        question=row["question"],
        completion=completion["text"],
        claims=tuple(claims),
        answer=row["answer"],
        correct=correct,
        reason=completion["reasons"].get("accuracy", ""),
        tokens=completion["num_tokens"],
        verdicts={"project": correct},
    )
