"""The evaluation in the tiny world: questions, the taught policy, and, where evalscope and vLLM are, all of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from datamodules.shapes.language import WORDS
from evaluation.outcome import Outcome
from evaluation.samples import JudgedSample
from evaluation.tiny.own_test import compare
from evaluation.tiny.policy import with_words
from evaluation.tiny.questions import NEW_WORDS, SETS, questions
from evaluation.tiny.sets import write_sets
from rewards.answers import Reason, judge_quickly, read_answer
from tests.conftest import sharp_policy


@pytest.mark.parametrize("name", SETS)
def test_what_is_taught_is_right_and_in_words_that_the_policy_has(name: str) -> None:
    words = {*WORDS, *NEW_WORDS, "</think>", "<image>"}
    for question in questions(name, "train", 40, 0):
        answer = read_answer(question.completion)
        assert not isinstance(answer, Reason)
        verdict = judge_quickly(question.answer, answer)
        assert verdict is not None
        assert verdict.is_right, question
        assert set(question.completion.split()) <= words
        assert set(question.asked.replace("<image>", " <image> ").split()) <= words


def test_half_of_the_probes_are_about_things_that_are_there() -> None:
    probes = list(questions("pope", "test", 24, 0))
    assert sum(probe.answer == "YES" for probe in probes) == 12
    assert {probe.category for probe in probes} == {"random", "popular", "adversarial"}


def test_every_choice_has_one_right_answer_among_four() -> None:
    for question in questions("choices", "test", 24, 0):
        assert len(set(question.choices)) == 4
        assert len({choice.answer for choice in questions("choices", "test", 24, 0)}) == 4


def test_the_same_questions_are_written_for_both(tmp_path: Path) -> None:
    write_sets(tmp_path / "sets", num_questions=4, num_taught=6, seed=0)
    own = [json.loads(line) for line in (tmp_path / "sets/own/choices/test.jsonl").read_text().splitlines()]
    harness = [json.loads(line) for line in (tmp_path / "sets/choices/default_val.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in own] == [row["answer"] for row in harness]
    for row, asked in zip(harness, own, strict=True):
        assert row["question"].removeprefix("<image 1> ") in asked["question"]
    assert len((tmp_path / "sets/teach/train.jsonl").read_text().splitlines()) == 6


def test_new_words_are_added_and_the_old_ones_stay(tmp_path: Path) -> None:
    policy = sharp_policy()
    policy.model.save_pretrained(tmp_path / "old")
    policy.processor.save_pretrained(tmp_path / "old")
    with_words(tmp_path / "old", ("A)", "YES"), tmp_path / "new", seed=0)
    old, new = (Tokenizer.from_file(str(tmp_path / name / "tokenizer.json")) for name in ("old", "new"))
    said = "look red : red-circle = 1"
    assert new.encode(said).ids == old.encode(said).ids
    assert new.decode(new.encode("A) YES").ids) == "A) YES"
    assert old.encode("YES").ids == [old.token_to_id("<unk>")]


def sample(evalscope: bool, project: bool) -> JudgedSample:
    return JudgedSample(benchmark="pope", uid="random/1", question="q", completion="c", reason="silent",
                        verdicts={"evalscope": evalscope, "project": project})  # fmt: skip


def outcome() -> Outcome:
    return Outcome(benchmark="pope", harness="evalscope", score=0.5, metric="accuracy")


def test_a_difference_between_judges_is_explained_and_one_between_completions_is_not() -> None:
    samples = [sample(True, True), sample(False, True)]
    explained = compare(outcome(), samples, 1.0)
    assert explained.is_explained
    assert "evalscope says wrong, project says right" in explained.sentence()
    unexplained = compare(outcome(), samples, 0.5)
    assert not unexplained.is_explained
    assert "NOT EXPLAINED: 1 completions" in unexplained.sentence()
    assert compare(outcome(), [sample(True, True)], 1.0).sentence().endswith("equal")


@pytest.mark.evaluation
def test_scores_of_the_harness_equal_those_of_the_test_command(tmp_path: Path) -> None:
    root = str(Path.cwd())
    done = subprocess.run(
        [sys.executable, "-m", "evaluation.tiny", "--short", "--again"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads(Path("runs/evaluation-tiny/short-s0/summary.json").read_text())
    for benchmark in summary["benchmarks"]:
        assert benchmark["verifier"] == pytest.approx(benchmark["command"])
        assert benchmark["number"] == 24
        difference = abs(benchmark["harness"] - benchmark["verifier"])
        assert difference <= len(benchmark["differing"]) / benchmark["number"] + 1e-9
