"""What ``test`` and ``predict`` write, as judged samples."""

import json
from pathlib import Path

import pytest
from PIL import Image

from algorithms import DataError
from cli.app import run
from evaluation.predictions import read_run
from evaluation.samples import as_row, as_sample
from tests.conftest import long
from tests.hallucination.test_benchmarks_by_command import coco, command, pope
from tests.test_training import policy_folder

__all__ = ["policy_folder"]


def predictions(arguments: list[str], file: Path) -> Path:
    run([*arguments, f"--callbacks.predictions.init_args.path={file}"])
    return file


def test_the_samples_of_a_test_are_its_greedy_completions_with_claims_and_pictures(
    policy_folder: Path, tmp_path: Path
) -> None:
    coco(tmp_path / "coco")
    said = {"1": "A man throws his dog a frisbee.", "2": "A bottle beside a bottle.", "3": "A cat."}
    file = predictions(
        command("test", policy_folder, "coco_objects", tmp_path / "coco", said), tmp_path / "out" / "predictions.jsonl"
    )
    samples = read_run(file)
    assert [(sample.benchmark, sample.uid, sample.completion) for sample in samples] == [
        ("coco", key, text) for key, text in said.items()
    ]
    first = samples[0]
    assert [(first.completion[c.start : c.end], c.is_supported) for c in first.claims] == [
        ("man", True), ("dog", True), ("frisbee", False),
    ]  # fmt: skip
    # The pictures lie in files, which are named where they are.
    assert first.pictures == ("../coco/val2014/COCO_val2014_000000000001.jpg",)
    # Nothing is known about what is right.
    assert (first.correct, first.answer, first.verdicts) == (None, None, {"project": None})
    assert [as_sample(as_row(sample), "here") for sample in samples] == samples


@pytest.mark.long
def test_pictures_in_tables_are_written_once_and_their_share_of_right_answers_is_the_accuracy(
    policy_folder: Path, tmp_path: Path
) -> None:
    said = pope(tmp_path / "POPE")
    arguments = command("test", policy_folder, "pope", tmp_path / "POPE", said)
    file = tmp_path / "out" / "predictions.jsonl"
    cli = run([*arguments, f"--callbacks.predictions.init_args.path={file}"])
    samples = read_run(file)
    assert [sample.category for sample in samples][:4] == ["random"] * 3 + ["popular"]
    for sample in samples:
        Image.open(file.parent / sample.pictures[0]).verify()
    assert len(list((file.parent / "pictures").iterdir())) == len(samples)
    right = [sample.correct for sample in samples]
    known = [each for each in right if each is not None]
    assert float(cli.trainer.callback_metrics["test/greedy_accuracy"]) == pytest.approx(sum(known) / len(known))


@pytest.mark.parametrize("case", [long("predict")])
def test_predict_writes_every_sample(policy_folder: Path, tmp_path: Path, case: str) -> None:
    said = pope(tmp_path / "POPE")
    arguments = command(case, policy_folder, "pope", tmp_path / "POPE", said, "--model.init_args.sampling.group_size=3")
    samples = read_run(predictions(arguments, tmp_path / "predictions.jsonl"))
    assert [sample.uid for sample in samples] == [key for key in said for _ in range(3)]


def test_a_line_that_is_no_prediction_is_told(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text(json.dumps({"key": "1", "completions": [{"text": "x"}]}) + "\n")
    with pytest.raises(DataError, match=r"predictions\.jsonl, line 1 is no line of predictions: KeyError"):
        read_run(file)
