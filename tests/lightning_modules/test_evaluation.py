"""Which metrics held-out evaluation gives, and which it leaves out for want of data."""

from typing import Any

import pytest
import torch

from algorithms import Completion, Prompt, RewardTable
from hallucination import GrammarJudge, JudgedCompletion, PopeBenchmark, judge_groups
from lightning_modules.evaluation import Evaluation, EvaluationConfig
from rollouts import RolloutPhase

JUDGE = GrammarJudge(mention=r"red-\w+")
ABOUT_FACTS = {"hallucination_rate", "hallucinated_completions", "claims_per_completion", "coverage"}


def said(text: str) -> Completion:
    ids = torch.zeros(len(text.split()), dtype=torch.long)
    return Completion(token_ids=ids, behavior_logps=torch.zeros(len(ids)), text=text, finish_reason="stop")


def evaluated(facts: list[tuple[str, ...] | None], text: str) -> dict[str, float]:
    """Two samples with the same text for a prompt with each of the facts."""
    prompts = [Prompt(uid=i, key=str(i), question="?", facts=known) for i, known in enumerate(facts)]
    completions = [[said(text)] * 2] * len(prompts)
    ones = torch.ones(len(prompts), 2, dtype=torch.double)
    table = RewardTable(parts={"accuracy": ones}, totals=ones, rule_totals=ones, num_failures={})
    evaluation = Evaluation(EvaluationConfig(num_samples=2, pass_at=(2,)))
    sampled = RolloutPhase(prompts, completions, table, claims=judge_groups(JUDGE, prompts, completions))
    evaluation.update(sampled, greedy_accuracy=torch.ones(len(prompts)))
    return {name: float(value) for name, value in evaluation.compute().items()}


def test_claims_are_counted_against_the_facts_and_the_facts_against_the_claims() -> None:
    values = evaluated([("red-star", "red-circle"), None], "red-star red-star red-star red-square")
    # Per completion of the first prompt: one of four claims holds, one of two things is named.
    assert {name: values[name] for name in ABOUT_FACTS} == {
        "hallucination_rate": 0.75, "hallucinated_completions": 1.0, "claims_per_completion": 4.0, "coverage": 0.5,
    }  # fmt: skip


def test_data_without_facts_gets_no_zero_for_what_nobody_can_know() -> None:
    values = evaluated([None, None], "red-star")
    assert values["greedy_accuracy"] == 1.0
    assert not ABOUT_FACTS & values.keys()


def test_silence_where_facts_are_known_is_no_hallucination_and_covers_nothing() -> None:
    values = evaluated([("red-star",)], "nothing")
    assert {name: values[name] for name in ABOUT_FACTS} == dict.fromkeys(ABOUT_FACTS, 0.0)


def test_an_image_known_to_be_empty_has_no_coverage() -> None:
    values = evaluated([()], "red-star")
    assert values["hallucination_rate"] == 1.0
    assert "coverage" not in values
    assert "format_rate" not in values


def test_a_benchmark_without_a_question_so_far_has_no_scores() -> None:
    evaluation = Evaluation(EvaluationConfig(num_samples=2, pass_at=(2,), benchmark=PopeBenchmark()))
    probe = Prompt(uid=0, key="0", question="?", answer="no", columns={"category": "random"})
    other = Prompt(uid=1, key="1", question="?", answer="no")
    evaluation.add_greedy([other], [said("no")])
    assert evaluation.compute() == {"outside_benchmark": torch.tensor(1.0)}
    evaluation.add_greedy([probe], [said("no")])
    values = evaluation.compute()
    assert (values["pope_accuracy"], values["outside_benchmark"]) == (1.0, 0.5)
    evaluation.reset()
    assert evaluation.compute() == {}


def test_a_reset_forgets_the_claims() -> None:
    evaluation = Evaluation(EvaluationConfig(num_samples=2, pass_at=(2,)))
    known = Prompt(uid=0, key="0", question="?", facts=("red-star",))
    evaluation.hallucination.update([JudgedCompletion(known, said(""), [])])
    evaluation.reset()
    assert evaluation.compute() == {}


@pytest.mark.parametrize("others", [{"greedy_accuracy", "pass_at_2", "completion_tokens"}, {"claims"}, set()])
def test_a_rank_without_prompts_gathers_the_metrics_that_others_have(
    monkeypatch: pytest.MonkeyPatch, others: set[str]
) -> None:
    # Computing a metric is a collective call: a rank that leaves one out blocks all others.
    monkeypatch.setattr("lightning_modules.evaluation.gather_ranks", lambda names: [names, sorted(others)])
    evaluation = Evaluation(EvaluationConfig(num_samples=2, pass_at=(2,)))
    computed: set[str] = set()
    metrics: dict[str, Any] = {**evaluation.means, **evaluation.pass_at, "claims": evaluation.hallucination}
    for name, metric in metrics.items():
        compute = metric.compute

        def spied(name: str = name, compute: Any = compute) -> Any:
            computed.add(name)
            return compute()

        metric.compute = spied
    assert not any(value.isnan() for value in evaluation.compute().values())
    assert computed == others
