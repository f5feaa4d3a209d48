"""A completion whose reward is unknown takes no part in its group, is not learnt from, and makes no pair."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms import AdvantageConfig, Completion, Prompt, effective_groups, group_relative_advantages
from algorithms.preferences.pairs import group_pairs
from callbacks.predictions import PredictionWriter
from lightning_modules.evaluation import Evaluation, EvaluationConfig
from lightning_modules.logs.rollouts import rollout_metrics
from rewards import RewardPart, WeightedReward
from rollouts import RolloutPhase

NAN = math.nan
SCORES = st.one_of(st.just(NAN), st.integers(-8, 8).map(lambda quarters: quarters / 4))
KNOWN = st.floats(-100, 100, width=32)


class Scores:
    """Returns scores given beforehand; NaN is a failure."""

    def __init__(self, *scores: float | None, is_rule: bool = True) -> None:
        self.scores, self.is_rule = scores, is_rule

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float | None]:
        return [self.scores[int(completion.text)] for completion in completions]


def groups(num_prompts: int, group_size: int) -> tuple[list[Prompt], list[list[Completion]]]:
    prompts = [Prompt(uid=uid, key=str(uid), question="?") for uid in range(num_prompts)]
    texts = torch.arange(num_prompts * group_size).view(num_prompts, group_size).tolist()
    one = torch.zeros(1)
    return prompts, [
        [
            Completion(token_ids=one.long(), behavior_logps=one.clone(), text=str(text), finish_reason="stop")
            for text in group
        ]
        for group in texts
    ]


def phase_of(group_size: int, **parts: RewardPart) -> RolloutPhase:
    """The rollout with these scores, groups of this size one after another."""
    first = next(iter(parts.values())).reward
    assert isinstance(first, Scores)
    prompts, completions = groups(len(first.scores) // group_size, group_size)
    repeated = [prompt for prompt in prompts for _ in range(group_size)]
    table = WeightedReward(parts)(repeated, [completion for group in completions for completion in group])
    return RolloutPhase(prompts, completions, table.view(len(prompts), group_size)).with_advantages(AdvantageConfig())


def evaluated(group_size: int, *scores: float, greedy: Sequence[float]) -> dict[str, float]:
    phase = phase_of(group_size, accuracy=RewardPart(Scores(*scores)))
    evaluation = Evaluation(EvaluationConfig(num_samples=group_size, pass_at=(2,)))
    evaluation.update(phase, greedy_accuracy=torch.tensor(greedy))
    return {name: float(value) for name, value in evaluation.compute().items()}


# --- the group ----------------------------------------------------------------------------------------------------


def test_a_failure_does_not_make_a_group_of_right_answers_effective() -> None:
    phase = phase_of(8, accuracy=RewardPart(Scores(*[1.0] * 7, NAN)))
    assert not phase.advantages.any()
    assert not phase.is_effective.any()


def test_a_none_among_scores_is_unknown_and_a_none_for_all_does_not_apply() -> None:
    format_part = RewardPart(Scores(1.0, 0.0, 1.0, 1.0, 0.0, 1.0))
    phase = phase_of(3, accuracy=RewardPart(Scores(None, None, None, 1.0, 0.0, None)), format=format_part)
    assert phase.is_known.tolist() == [[True] * 3, [True, True, False]]
    assert phase.rewards[0].tolist() == [1.0, 0.0, 1.0]
    assert phase.scores.num_failures == {"accuracy": 1, "format": 0}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(SCORES, min_size=4, max_size=4), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_advantages_are_those_of_the_known_rewards(table: list[list[float]], population: bool, scaled: bool) -> None:
    config = AdvantageConfig(eps=0.5, population_std=population, scale_by_std=scaled)
    found = group_relative_advantages(torch.tensor(table), config=config)
    for group, advantages in zip(table, found.tolist(), strict=True):
        known = [reward for reward in group if not math.isnan(reward)]
        effective = len(known) > 1 and len(set(known)) > 1
        deviation = (statistics.pstdev if population else statistics.stdev)(known) + 0.5 if effective else 1.0
        expected = [
            0.0 if math.isnan(r) or not effective else (r - statistics.fmean(known)) / (deviation if scaled else 1.0)
            for r in group
        ]
        assert advantages == pytest.approx(expected, abs=1e-5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.lists(KNOWN, min_size=5, max_size=5), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_without_failures_every_advantage_is_what_it_was(
    table: list[list[float]], population: bool, scaled: bool
) -> None:
    config = AdvantageConfig(population_std=population, scale_by_std=scaled)
    rewards = torch.tensor(table)
    is_effective = rewards.amax(dim=1) - rewards.amin(dim=1) > 0.0
    expected = torch.where(is_effective[:, None], rewards - rewards.mean(dim=1, keepdim=True), 0.0)
    if scaled:
        expected = expected / (rewards.std(dim=1, correction=0 if population else 1, keepdim=True) + config.eps)
    assert torch.equal(group_relative_advantages(rewards, config=config), expected)
    assert torch.equal(effective_groups(rewards), is_effective)
    # Nor does the failure of another group change them.
    beside = torch.cat([rewards, torch.tensor([[1.0, NAN, 0.0, 0.0, 1.0]])])
    assert torch.equal(group_relative_advantages(beside, config=config)[:-1], expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(KNOWN, min_size=12, max_size=12), st.lists(KNOWN, min_size=12, max_size=12))
def test_without_failures_every_total_and_every_mean_is_what_it_was(one: list[float], other: list[float]) -> None:
    parts = {"accuracy": RewardPart(Scores(*one), 0.3), "taste": RewardPart(Scores(*other, is_rule=False), -0.7)}
    phase = phase_of(4, **parts)
    totals = [math.fsum([0.3 * a, -0.7 * b]) for a, b in zip(one, other, strict=True)]
    assert phase.scores.totals.flatten().tolist() == totals
    assert phase.scores.rule_totals.flatten().tolist() == [math.fsum([0.3 * a]) for a in one]
    values = rollout_metrics(phase, tolerance=0.0, seconds=1.0)
    assert values["rollout/reward"] == phase.rewards.mean().item()
    assert values["rollout/unknown_fraction"] == 0.0


@pytest.mark.parametrize("num_known", [0, 1])
def test_a_group_with_fewer_than_two_known_rewards_is_not_effective(num_known: int) -> None:
    phase = phase_of(4, accuracy=RewardPart(Scores(*[1.0] * num_known, *[NAN] * (4 - num_known))))
    assert phase.advantages.tolist() == [[0.0] * 4]
    assert not effective_groups(phase.rewards).item()


# --- which parts a total depends on -------------------------------------------------------------------------------


def test_a_failure_of_a_part_that_is_only_logged_leaves_the_total_known() -> None:
    phase = phase_of(2, accuracy=RewardPart(Scores(1.0, 0.0)), logged=RewardPart(Scores(NAN, NAN), weight=0.0))
    assert phase.rewards.tolist() == [[1.0, 0.0]]


def test_a_failure_behind_a_closed_gate_leaves_the_total_known() -> None:
    taste = RewardPart(Scores(NAN, NAN, 3.0, is_rule=False), gate="accuracy")
    phase = phase_of(3, accuracy=RewardPart(Scores(1.0, 0.0, 1.0)), taste=taste)
    assert phase.is_known.tolist() == [[False, True, True]]
    assert phase.rewards[0, 1:].tolist() == [0.0, 4.0]


def test_a_gate_that_is_unknown_makes_the_total_unknown() -> None:
    taste = RewardPart(Scores(3.0, 3.0, is_rule=False), gate="accuracy")
    rule = RewardPart(Scores(1.0, 0.0))
    phase = phase_of(2, accuracy=RewardPart(Scores(NAN, 1.0), weight=0.0), taste=taste, rule=rule)
    assert phase.is_known.tolist() == [[False, True]]


def test_a_completion_with_an_unknown_taste_cannot_make_its_group_effective() -> None:
    taste = RewardPart(Scores(NAN, 0.2, 0.3, is_rule=False))
    phase = phase_of(3, accuracy=RewardPart(Scores(1.0, 0.0, 0.0)), taste=taste)
    assert not phase.is_effective.any()


# --- what is made of the group ------------------------------------------------------------------------------------


def test_only_known_completions_become_rows_for_the_learner() -> None:
    phase = phase_of(4, accuracy=RewardPart(Scores(1.0, NAN, 0.0, 0.0)))
    rows = phase.rows(phase.advantages != 0.0)
    assert len(rows) == 3
    assert rows.advantages.sum().item() == pytest.approx(0.0, abs=1e-6)
    assert rows.advantages.abs().max().item() == pytest.approx(2 / 3 / statistics.stdev([1, 0, 0]), abs=1e-4)


def test_an_unknown_part_makes_no_pair_and_no_solved_prompt() -> None:
    taste = RewardPart(Scores(0.1, 0.2, NAN, is_rule=False))
    phase = phase_of(3, accuracy=RewardPart(Scores(1.0, 1.0, NAN)), taste=taste)
    (group,) = phase.groups
    assert [(pair.chosen, pair.rejected, pair.kind) for pair in group_pairs(group, score_part="taste")] == [
        ("1", "0", "reward_model")
    ]
    assert not len(phase.solved_uids())


def test_a_rollout_reports_which_part_failed_and_how_much_is_unknown() -> None:
    taste = RewardPart(Scores(NAN, NAN, 0.5, 0.5, is_rule=False), weight=0.0)
    phase = phase_of(4, accuracy=RewardPart(Scores(1.0, NAN, 0.0, 0.5)), taste=taste)
    values = rollout_metrics(phase, tolerance=0.0, seconds=1.0)
    assert values["rollout/unknown_fraction"] == 0.25
    assert (values["rollout/failed_accuracy"], values["rollout/failed_taste"]) == (1.0, 2.0)
    assert values["rollout/reward"] == values["rollout/accuracy"] == 0.5


def test_a_rollout_without_a_known_reward_has_no_mean() -> None:
    values = rollout_metrics(phase_of(2, accuracy=RewardPart(Scores(NAN, NAN))), tolerance=0.0, seconds=1.0)
    assert "rollout/reward" not in values
    assert values["rollout/unknown_fraction"] == 1.0
    assert not any(math.isnan(value) for value in values.values())


def test_an_unknown_reward_is_null_in_a_file(tmp_path: Path) -> None:
    phase = phase_of(2, accuracy=RewardPart(Scores(1.0, NAN)))
    file = tmp_path / "predictions.jsonl"
    PredictionWriter(str(file)).on_predict_batch_end(
        cast(Any, SimpleNamespace(world_size=1)), cast(Any, None), phase, [], 0
    )
    assert "NaN" not in file.read_text()
    assert [completion["reward"] for completion in json.loads(file.read_text())["completions"]] == [1.0, None]


# --- evaluation ---------------------------------------------------------------------------------------------------


def test_evaluation_leaves_unknown_accuracies_out_and_counts_them() -> None:
    values = evaluated(4, 1.0, NAN, 0.0, 0.5, *[1.0] * 4, greedy=[NAN, 1.0])
    assert values["sampled_accuracy"] == pytest.approx(5.5 / 7)
    assert values["greedy_accuracy"] == 1.0
    assert values["unknown_fraction"] == pytest.approx(2 / 10)
    # One of three known samples is right: two of them hold it in 2 of 3 draws.
    assert values["pass_at_2"] == pytest.approx((2 / 3 + 1.0) / 2)


def test_evaluation_without_a_known_accuracy_reports_none() -> None:
    values = evaluated(2, NAN, NAN, greedy=[NAN])
    assert values["unknown_fraction"] == 1.0
    assert not {"sampled_accuracy", "greedy_accuracy", "pass_at_2"} & values.keys()
