from pathlib import Path

import pytest

from algorithms import DataError
from evaluation.scores import ScoredSample, read_measured, summarize
from tests.evaluation.harness_files import PNG, report, review, write


def sample(uid: str, score: float | None, *, run: int = 0, category: str = "a", tokens: int | None = 4) -> ScoredSample:
    return ScoredSample(uid=uid, run=run, category=category, score=score, question="q", completion="c", answer="A",
                        tokens=tokens)  # fmt: skip


def test_samples_and_scores_are_read_as_the_harness_wrote_them(tmp_path: Path) -> None:
    rows = {
        "random": [review(0, "yes", 1.0, gold="YES"), review(1, "no", 0.0, gold="YES")],
        "popular": [review(0, "x", 1)],
    }
    measured = read_measured(write(tmp_path, rows, report({"f1": 0.5, "accuracy": 2 / 3})))
    assert (measured.primary, measured.metrics) == ("f1", {"f1": 0.5, "accuracy": pytest.approx(2 / 3)})
    assert [(one.uid, one.score, one.completion, one.answer) for one in measured.samples] == [
        ("popular/0", 1.0, "x", "A"), ("random/0", 1.0, "yes", "YES"), ("random/1", 0.0, "no", "YES"),
    ]  # fmt: skip
    assert measured.samples[0].pictures == (PNG,)
    assert measured.samples[0].question == "question 0<image>"
    assert measured.samples[0].tokens == 4


def test_a_failed_request_costs_its_sample_and_is_counted(tmp_path: Path) -> None:
    rows = {"a": [review(0, "fine", 1.0), review(1, "the prompt is too long", 0.0)]}
    measured = read_measured(write(tmp_path, rows, report({"accuracy": 0.5}, errored=2), refused=(1,)))
    assert measured.num_failed == 3
    assert [one.score for one in measured.samples] == [1.0, None]
    summary = summarize(measured.samples, pass_at=())
    assert (summary.accuracy, summary.num_samples) == (1.0, 1)


def test_a_sample_that_the_harness_could_not_score_is_unknown_and_not_wrong(tmp_path: Path) -> None:
    measured = read_measured(write(tmp_path, {"a": [review(0, "odd", None)]}, report({"accuracy": 0.0})))
    assert [(one.score, one.problem) for one in measured.samples] == [(None, "excluded")]


def test_a_line_cut_by_a_kill_and_a_line_written_twice_are_no_further_samples(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a": [review(0, "first", 0.0), review(0, "again", 1.0)]}, report({"accuracy": 1.0}))
    file = next(folder.glob("reviews/*/*.jsonl"))
    file.write_text(file.read_text() + '{"index": 1, "targ')
    assert [one.completion for one in read_measured(folder).samples] == ["again"]


def test_a_run_without_a_report_is_told_as_one_that_did_not_end(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did not end"):
        read_measured(tmp_path)


def test_pass_at_one_is_the_mean_over_runs_and_pass_at_k_is_the_unbiased_estimate() -> None:
    samples = [sample(uid, score, run=run) for uid, row in {"x": (1, 0, 0, 0), "y": (1, 1, 1, 1)}.items()
               for run, score in enumerate(row)]  # fmt: skip
    summary = summarize(samples, pass_at=(2,))
    assert summary.accuracy == pytest.approx((1 / 4 + 1) / 2)
    # One of four right: 1 - C(3, 2) / C(4, 2) = 1/2.
    assert summary.pass_at == {2: pytest.approx((1 / 2 + 1) / 2)}
    assert (summary.num_questions, summary.num_samples) == (2, 8)


def test_the_interval_holds_the_mean_and_shrinks_with_questions() -> None:
    few = summarize([sample(str(i), float(i % 2)) for i in range(10)], pass_at=())
    many = summarize([sample(str(i), float(i % 2)) for i in range(1000)], pass_at=())
    assert few.low is not None
    assert few.high is not None
    assert many.low is not None
    assert many.high is not None
    assert few.low < 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert summarize([sample("x", 1.0)], pass_at=()).low is None


def test_runs_of_one_question_do_not_narrow_the_interval() -> None:
    once = summarize([sample(str(i), float(i % 2)) for i in range(20)], pass_at=())
    five = summarize([sample(str(i), float(i % 2), run=run) for i in range(20) for run in range(5)], pass_at=())
    assert (once.low, once.high) == (five.low, five.high)


def test_categories_are_apart() -> None:
    rows = [sample("a/0", 1.0), sample("b/0", 0.0, category="b"), sample("b/1", 1.0, category="b")]
    assert summarize(rows, pass_at=()).by_category == {"a": (1.0, 1), "b": (0.5, 2)}
