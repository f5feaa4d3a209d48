"""The weighted sum: every part kept, and no part able to stop a run."""

import math
from collections.abc import Callable

import pytest

from algorithms import ConfigError
from rewards import RewardPart, WeightedReward
from tests.rewards.hand_made import completion, listed, prompt


def scored(parts: dict[str, RewardPart], num: int = 3):
    return WeightedReward(parts)([prompt("1")] * num, [completion(str(i)) for i in range(num)])


def by_text(score: Callable[[int], float | None]):
    return lambda prompts, completions: [score(int(c.text)) for c in completions]


def test_the_total_is_the_weighted_sum_and_parts_stay_unweighted() -> None:
    table = scored({"a": RewardPart(by_text(float), 2.0), "b": RewardPart(by_text(lambda i: 1.0), -0.5)})
    assert table.totals.tolist() == [-0.5, 1.5, 3.5]
    assert {name: listed(scores) for name, scores in table.parts.items()} == {
        "a": [0.0, 1.0, 2.0],
        "b": [1.0, 1.0, 1.0],
    }


def test_a_part_that_does_not_apply_adds_nothing() -> None:
    reward = WeightedReward({"a": RewardPart(by_text(lambda i: None if i == 1 else 1.0))})
    table = reward([prompt("1", uid=i) for i in range(3)], [completion(str(i)) for i in range(3)])
    assert table.totals.tolist() == [1.0, 0.0, 1.0]
    assert table.num_failures == {"a": 0}


def test_a_part_that_raises_costs_only_the_guilty_sample() -> None:
    table = scored({"a": RewardPart(by_text(lambda i: 1.0 / (i - 1))), "b": RewardPart(by_text(lambda i: 1.0))})
    assert listed(table.parts["a"]) == [-1.0, None, 1.0]
    assert listed(table.totals) == [0.0, None, 2.0]
    assert table.num_failures == {"a": 1, "b": 0}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_counted_and_left_out(bad: float) -> None:
    table = scored({"a": RewardPart(by_text(lambda i: bad if i == 2 else 1.0))})
    assert listed(table.parts["a"]) == [1.0, 1.0, None]
    assert table.num_failures == {"a": 1}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "model.reward.parts"),
        ({"a": RewardPart(by_text(float), math.nan)}, "model.reward.parts.a.weight"),
        ({"a": RewardPart(by_text(float), 0.0)}, "model.reward.parts"),
    ],
)
def test_weights_that_cannot_teach_are_refused(parts: dict[str, RewardPart], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        WeightedReward(parts)
