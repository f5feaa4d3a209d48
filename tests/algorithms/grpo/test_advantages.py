"""Group-relative advantages."""

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.grpo.advantages import AdvantageConfig, effective_groups, group_relative_advantages
from tests.assertions import assert_same

# Quarters are exact in binary, so that no test measures rounding.
REWARD = st.integers(-8, 8).map(lambda quarters: quarters / 4)


@st.composite
def reward_tables(draw: st.DrawFn) -> torch.Tensor:
    num_prompts, group_size = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    group = st.lists(REWARD, min_size=group_size, max_size=group_size)
    return torch.tensor(draw(st.lists(group, min_size=num_prompts, max_size=num_prompts)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(reward_tables())
def test_advantages_of_each_group_sum_to_zero(rewards: torch.Tensor) -> None:
    assert_same(group_relative_advantages(rewards).sum(dim=1), torch.zeros(len(rewards)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(reward_tables(), REWARD)
def test_adding_a_constant_to_every_reward_changes_nothing(rewards: torch.Tensor, shift: float) -> None:
    assert_same(group_relative_advantages(rewards + shift), group_relative_advantages(rewards))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(reward_tables(), st.integers(0, 2**31))
def test_permuting_siblings_permutes_their_advantages(rewards: torch.Tensor, seed: int) -> None:
    order = torch.randperm(rewards.shape[1], generator=torch.Generator().manual_seed(seed))
    assert_same(group_relative_advantages(rewards[:, order]), group_relative_advantages(rewards)[:, order])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.floats(-1e4, 1e4, width=32), st.integers(2, 17), st.booleans())
def test_equal_rewards_carry_no_signal_at_all(reward: float, group_size: int, scale_by_std: bool) -> None:
    rewards = torch.full((1, group_size), reward)
    advantages = group_relative_advantages(rewards, config=AdvantageConfig(scale_by_std=scale_by_std))
    assert torch.equal(advantages, torch.zeros(1, group_size))
    assert not effective_groups(rewards).item()


@pytest.mark.parametrize("group_size", [3, 6, 7, 12])
def test_a_tenth_repeated_is_exactly_zero_although_its_mean_is_rounded(group_size: int) -> None:
    assert not group_relative_advantages(torch.full((1, group_size), 0.1)).any()


def test_one_right_answer_of_four_stands_out_by_three_halves() -> None:
    advantages = group_relative_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), config=AdvantageConfig(eps=0.0))
    assert_same(advantages, torch.tensor([[1.5, -0.5, -0.5, -0.5]]))


def test_the_guard_against_zero_is_too_small_to_see() -> None:
    assert_same(
        group_relative_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]])), torch.tensor([[1.5, -0.5, -0.5, -0.5]])
    )


def test_the_population_estimator_divides_by_the_group_size() -> None:
    advantages = group_relative_advantages(
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]), config=AdvantageConfig(population_std=True)
    )
    assert_same(advantages, torch.tensor([[3.0, -1.0, -1.0, -1.0]]) / 3**0.5)


def test_without_scaling_only_the_mean_is_removed() -> None:
    advantages = group_relative_advantages(
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]), config=AdvantageConfig(scale_by_std=False)
    )
    assert_same(advantages, torch.tensor([[0.75, -0.25, -0.25, -0.25]]))


def test_eps_is_added_to_the_deviation() -> None:
    advantages = group_relative_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), config=AdvantageConfig(eps=0.5))
    assert_same(advantages, torch.tensor([[0.75, -0.25, -0.25, -0.25]]))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(reward_tables())
def test_advantages_match_the_formula_written_as_a_loop(rewards: torch.Tensor) -> None:
    expected = []
    for group in rewards.tolist():
        mean, std = statistics.fmean(group), statistics.stdev(group)
        expected.append([(reward - mean) / std if std else 0.0 for reward in group])
    assert_same(
        group_relative_advantages(rewards, config=AdvantageConfig(eps=0.0))[effective_groups(rewards)],
        keep(expected, rewards),
    )


def keep(expected: list[list[float]], rewards: torch.Tensor) -> torch.Tensor:
    return torch.tensor(expected)[effective_groups(rewards)]


def test_groups_do_not_see_each_other() -> None:
    first, second = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[5.0, -3.0, 0.0]])
    together = group_relative_advantages(torch.cat([first, second]))
    assert_same(together, torch.cat([group_relative_advantages(first), group_relative_advantages(second)]))


def test_a_group_is_effective_when_its_rewards_differ_by_more_than_the_tolerance() -> None:
    rewards = torch.tensor([[0.0, 0.25], [0.0, 0.5], [1.0, 1.0]])
    assert effective_groups(rewards).tolist() == [True, True, False]
    assert effective_groups(rewards, tolerance=0.25).tolist() == [False, True, False]
