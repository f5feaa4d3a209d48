"""Judged samples as lines of JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from algorithms import Claim, DataError
from evaluation import JudgedSample, read_samples, write_samples

SAMPLE = JudgedSample(
    benchmark="pope",
    uid="random/17",
    category="random",
    pictures=("pictures/17.png",),
    question="Is there a dog? \u2028 <b>",
    completion="Yes, a dog.</script>",
    claims=(Claim("dog", 7, 10, False),),
    answer="no",
    correct=False,
    reason="wrong",
    tokens=5,
    verdicts={"evalscope": False, "project": None},
)
PLAIN = JudgedSample(benchmark="aime", uid="1", question="1 + 1?", completion="")
KEYS = {
    "benchmark", "uid", "category", "pictures", "question", "completion", "claims", "answer", "correct", "reason",
    "tokens", "verdicts",
}  # fmt: skip


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_samples(tmp_path / "new" / "samples.jsonl", [SAMPLE, PLAIN])
    assert read_samples(tmp_path / "new" / "samples.jsonl") == [SAMPLE, PLAIN]


def test_a_line_has_exactly_the_agreed_keys(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples.jsonl", [SAMPLE])
    (line,) = (tmp_path / "samples.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert set(row) == KEYS
    assert row["claims"] == [{"text": "dog", "start": 7, "end": 10, "supported": False}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct": 1}, r"samples\.jsonl, line 1: correct must be true, false or null, got 1\."),
        ({"tokens": True}, r"tokens must be a number of tokens or null, got True"),
        ({"pictures": "a.png"}, r"pictures must be a list of paths, got 'a\.png'"),
        ({"verdicts": {"evalscope": "yes"}}, r"verdicts must be an object of names with true, false or null"),
        ({"claims": ["dog"]}, r"every entry of claims is a JSON object, got 'dog'"),
        ({"claims": [{"text": "dog", "start": 0, "end": 3}]}, r"line 1, claims: .* is without supported\."),
        (
            {"claims": [{"text": "dog", "start": 7, "end": 99, "supported": True}]},
            r"'dog' of random/17 lies at 7 to 99",
        ),
        ({"corect": True}, r"this one is with corect\."),
    ],
    ids=str,
)
def test_a_line_that_is_no_sample_is_told_with_its_file_line_and_key(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "samples.jsonl"
    write_samples(file, [SAMPLE])
    file.write_text(json.dumps(json.loads(file.read_text()) | change) + "\n")
    with pytest.raises(DataError, match=message):
        read_samples(file)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.jsonl"):
        read_samples(tmp_path / "nowhere.jsonl")
    (tmp_path / "broken.jsonl").write_text("{}\n{'a': 1}\n")
    with pytest.raises(DataError, match=r"line 1: a sample has exactly the keys .* this one is without answer, "):
        read_samples(tmp_path / "broken.jsonl")


def test_nothing_is_written_when_a_claim_lies_outside_of_its_completion(tmp_path: Path) -> None:
    wrong = JudgedSample(benchmark="a", uid="1", question="", completion="ab", claims=(Claim("c", 1, 3, True),))
    with pytest.raises(DataError, match="lies at 1 to 3"):
        write_samples(tmp_path / "samples.jsonl", [SAMPLE, wrong])
    assert list(tmp_path.iterdir()) == []
