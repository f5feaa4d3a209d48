"""Judged samples, one JSON object per line of ``samples.jsonl``, for the page of samples.

    {"benchmark": "pope", "uid": "random/17", "category": "random", "pictures": ["pictures/17.png"],
     "question": "Is there a dog in the image?", "completion": "Yes, a dog.",
     "claims": [{"text": "dog", "start": 7, "end": 10, "supported": false}],
     "answer": "no", "correct": false, "reason": "wrong", "tokens": 5,
     "verdicts": {"evalscope": false, "project": false}}

Every line has exactly these keys, so that a misspelled key is an error and is not ignored.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms import Claim, DataError
from storage import whole_file

FILE_NAME = "samples.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """One completion of a benchmark's question, with verdicts and facts."""

    benchmark: str
    uid: str
    """Name of the question within the benchmark, which all completions of the question share."""

    category: str = ""
    """Subject or split within the benchmark; empty: it has none."""

    pictures: tuple[str, ...] = ()
    """Paths of the pictures, relative to the folder of the file."""

    question: str
    completion: str
    claims: tuple[Claim, ...] = ()
    """Judged claims of the completion about the pictures, with their positions; empty when claims were not judged."""

    answer: str | None = None
    """Gold answer; None when there is none."""

    correct: bool | None = None
    """Whether the completion is right; None: unknown, which is not wrong."""

    reason: str = ""
    """Why the completion is right, wrong or unknown, such as ``no_box``; empty: no reason was given."""

    tokens: int | None = None
    """Length of the completion in tokens; None when it was not counted."""

    verdicts: Mapping[str, bool | None] = field(default_factory=dict[str, bool | None])
    """Judge (``evalscope``, ``project``) -> verdict; None: the judge could not decide."""


def write_samples(file: Path, samples: Iterable[JudgedSample]) -> None:
    """Write samples in their order; the file appears when all samples are written.

    Raises:
        DataError: a claim lies outside of its completion; no file is written.
    """
    with whole_file(file) as draft, draft.open("w", encoding="utf-8") as lines:
        for sample in samples:
            _check_claims(sample, str(file))
            lines.write(json.dumps(as_row(sample)) + "\n")


def read_samples(file: Path) -> list[JudgedSample]:
    """Return the samples of a file in their order.

    Raises:
        DataError: there is no such file, or a line is no sample; names file, line and key.
    """
    return list(_read(file))


def as_row(sample: JudgedSample) -> dict[str, Any]:
    """Return the JSON object of a sample."""
    claims = [
        {"text": claim.thing, "start": claim.start, "end": claim.end, "supported": claim.is_supported}
        for claim in sample.claims
    ]
    values: dict[str, Any] = {name: getattr(sample, name) for name in JudgedSample.__dataclass_fields__}
    return values | {"pictures": list(sample.pictures), "claims": claims, "verdicts": dict(sample.verdicts)}


def as_sample(row: Any, where: str) -> JudgedSample:
    """Return the sample of a JSON object.

    Args:
        row: the object.
        where: file and line, for messages.

    Raises:
        DataError: a key is missing, unknown or of another type.
    """
    if not isinstance(row, dict):
        raise DataError(f"{where}: a sample is a JSON object, got {type(row).__name__}.")
    _check_keys(row, _KINDS, where)
    for claim in row["claims"]:
        if not isinstance(claim, dict):
            raise DataError(f"{where}: every entry of claims is a JSON object, got {claim!r:.80}.")
        _check_keys(claim, _CLAIM_KINDS, f"{where}, claims")
    claims = tuple(Claim(claim["text"], claim["start"], claim["end"], claim["supported"]) for claim in row["claims"])
    sample = JudgedSample(**row | {"pictures": tuple(row["pictures"]), "claims": claims})
    _check_claims(sample, where)
    return sample


# Key -> whether a value is allowed, and the allowed values in words.
_KINDS: dict[str, tuple[Any, str]] = {
    **{
        name: (lambda value: isinstance(value, str), "text")
        for name in ("benchmark", "uid", "category", "question", "completion", "reason")
    },
    "pictures": (lambda v: isinstance(v, list) and all(isinstance(path, str) for path in v), "a list of paths"),
    "claims": (lambda value: isinstance(value, list), "a list of claims"),
    "answer": (lambda value: value is None or isinstance(value, str), "text or null"),
    "correct": (lambda value: value is None or isinstance(value, bool), "true, false or null"),
    "tokens": (lambda value: value is None or _is_count(value), "a number of tokens or null"),
    "verdicts": (
        lambda v: isinstance(v, dict) and all(each is None or isinstance(each, bool) for each in v.values()),
        "an object of names with true, false or null",
    ),
}
_CLAIM_KINDS: dict[str, tuple[Any, str]] = {
    "text": (lambda value: isinstance(value, str), "text"),
    "start": (lambda value: _is_count(value), "a position in the completion"),
    "end": (lambda value: _is_count(value), "a position in the completion"),
    "supported": (lambda value: isinstance(value, bool), "true or false"),
}


def _is_count(value: Any) -> bool:
    # JSON's true is an int in Python.
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_keys(row: Mapping[str, Any], kinds: Mapping[str, tuple[Any, str]], where: str) -> None:
    missing, unknown = kinds.keys() - row.keys(), row.keys() - kinds.keys()
    if missing or unknown:
        told = [f"{word} {', '.join(sorted(keys))}" for word, keys in (("without", missing), ("with", unknown)) if keys]
        raise DataError(f"{where}: a sample has exactly the keys {', '.join(kinds)}; this one is {' and '.join(told)}.")
    for key, (is_allowed, words) in kinds.items():
        if not is_allowed(row[key]):
            raise DataError(f"{where}: {key} must be {words}, got {row[key]!r:.80}.")


def _check_claims(sample: JudgedSample, where: str) -> None:
    for claim in sample.claims:
        if not 0 <= claim.start <= claim.end <= len(sample.completion):
            raise DataError(
                f"{where}: the claim {claim.thing!r} of {sample.uid} lies at {claim.start} to {claim.end}, and the "
                f"completion has {len(sample.completion)} characters: it could not be marked there."
            )


def _read(file: Path) -> Iterator[JudgedSample]:
    if not file.is_file():
        raise DataError(f"there is no file {file}: the page and the comparison read samples from there.")
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{file}, line {number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{where} is no JSON: {error}.") from None
            yield as_sample(row, where)
