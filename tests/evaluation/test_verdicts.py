from evaluation.judging.verdicts import Verdict, agreement, project_verdicts, why_they_differ
from evaluation.scores import ScoredSample


def sample(completion: str, answer: str | None) -> ScoredSample:
    return ScoredSample(
        uid="1", run=0, category="", score=1.0, question="q", completion=completion, answer=answer, tokens=1
    )


def test_the_verifier_judges_what_is_in_the_box() -> None:
    said = [sample(r"so \boxed{\frac{1}{2}}", "0.5"), sample(r"\boxed{B}", "A"), sample("it is 7", "7")]
    verdicts = project_verdicts(said, "answer")
    assert [verdict.is_right for verdict in verdicts] == [True, False, False]
    assert verdicts[2].reason == "no_box"


def test_a_reasoning_that_is_not_closed_is_no_answer_where_reasoning_is_asked_for() -> None:
    said = [sample(r"thinking \boxed{7}", "7")]
    assert [one.is_right for one in project_verdicts(said, "answer", needs_reasoning=True)] == [False]
    assert [one.is_right for one in project_verdicts(said, "answer", needs_reasoning=False)] == [True]


def test_a_question_without_a_gold_is_unknown() -> None:
    assert project_verdicts([sample(r"\boxed{7}", None)], "answer") == [Verdict(None, "no_gold")]


def test_silence_is_a_yes_by_the_rule_of_pope_and_no_answer_by_that_of_hallusion_bench() -> None:
    said = [sample("a dog", "YES"), sample("a dog", "NO"), sample("No.", "NO")]
    assert [one.is_right for one in project_verdicts(said, "polled")] == [True, False, True]
    assert [one.is_right for one in project_verdicts(said, "stated")] == [False, False, True]
    assert project_verdicts(said, "polled")[0].reason == "silent"


def test_nothing_is_said_of_a_benchmark_without_a_verifier() -> None:
    assert project_verdicts([sample("def f(): ...", "x")], None) == [Verdict(None, "no_verifier")]


def test_agreement_is_over_completions_on_which_both_say_something() -> None:
    both = agreement([True, False, None, True], [True, True, True, None])
    assert (both.rate, both.num_both, both.disagreements) == (0.5, 2, (1,))
    assert agreement([None], [True]).rate is None


def test_disagreements_are_counted_by_who_says_right_and_why_the_other_does_not() -> None:
    project = [Verdict(False, "no_box"), Verdict(False, "no_box"), Verdict(True, "right_number")]
    kinds = why_they_differ([True, True, False], project, (0, 1, 2))
    assert kinds == {
        "evalscope alone says right (no_box)": 2, "project alone says right (right_number)": 1,
    }  # fmt: skip
