"""Mixed Preference Optimization against worked examples, a slow loop and closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.errors import ConfigError
from algorithms.preferences.mixed_preference import (
    MPOConfig,
    MPOOutput,
    generation_loss,
    implicit_rewards,
    mpo_loss,
    preference_loss,
    quality_loss,
)
from algorithms.preferences.reward_shift import RewardShift
from tests.assertions import assert_same

CONFIG = MPOConfig()
rewards = st.lists(st.floats(-20, 20), min_size=1, max_size=12)


def of(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def shifted(shift: RewardShift, *batch: torch.Tensor) -> RewardShift:
    both = torch.cat(batch)
    return shift.updated(both.sum(), torch.tensor(len(both)))


def loss_of(chosen_ratio: float, rejected_ratio: float, nll: float, shift: RewardShift, config=CONFIG):
    """The loss of one pair given by its log-ratios to the reference, before multiplication by beta."""
    chosen, rejected = (implicit_rewards(of(r), of(0.0), config.beta) for r in (chosen_ratio, rejected_ratio))
    shift = shifted(shift, chosen, rejected)
    out = mpo_loss(of(-nll), chosen, rejected, torch.tensor([1]), shift=shift.value, num_pairs=1, config=config)
    return out, shift


def test_the_worked_example_of_two_steps() -> None:
    # rewards 0.2, -0.3: mean -0.05;   -log s(0.5), -log s(0.25) - log s(0.25)
    first, shift = loss_of(2.0, -3.0, 0.5, RewardShift.zero())
    assert shift.value.item() == pytest.approx(-0.05)
    assert first.preference.item() == pytest.approx(0.474077, abs=1e-6)
    assert first.quality.item() == pytest.approx(1.151879, abs=1e-6)
    assert first.generation.item() == pytest.approx(0.5)
    assert first.loss.item() == pytest.approx(1.109637, abs=1e-6)
    # rewards 0.4, 0.1: the mean of all four is 0.1
    second, shift = loss_of(4.0, 1.0, 0.5, shift)
    assert shift.value.item() == pytest.approx(0.1)
    assert second.quality.item() == pytest.approx(1.247502, abs=1e-6)


def test_without_the_shift_the_quality_loss_is_that_of_trl_since_0_29() -> None:
    out, _ = loss_of(2.0, -3.0, 0.5, RewardShift.zero(), MPOConfig(reward_shift="none"))
    assert out.quality.item() == pytest.approx(1.152494, abs=1e-6)
    assert out.loss.item() == pytest.approx(1.109760, abs=1e-6)


def test_where_policy_and_reference_agree_the_losses_are_logarithms_of_two() -> None:
    out, shift = loss_of(0.0, 0.0, 0.7, RewardShift.zero())
    assert shift.value.item() == 0.0
    assert out.preference.item() == pytest.approx(math.log(2))
    assert out.quality.item() == pytest.approx(2 * math.log(2))


@given(rewards, st.floats(-5, 5))
def test_the_losses_are_those_of_a_slow_loop(chosen: list[float], delta: float) -> None:
    rejected = [value / 2 - 1 for value in chosen]
    preference = preference_loss(torch.tensor(chosen), torch.tensor(rejected))
    quality = quality_loss(torch.tensor(chosen), torch.tensor(rejected), torch.tensor(delta))
    for i, (c, r) in enumerate(zip(chosen, rejected, strict=True)):
        assert preference[i].item() == pytest.approx(math.log1p(math.exp(r - c)), rel=1e-4, abs=1e-5)
        slow = math.log1p(math.exp(delta - c)) + math.log1p(math.exp(r - delta))
        assert quality[i].item() == pytest.approx(slow, rel=1e-4, abs=1e-5)


def test_the_generation_loss_is_a_mean_per_completion_and_not_per_token_of_the_batch() -> None:
    # Two completions of 1 and 3 tokens, 1.0 and 6.0 nats: means 1.0 and 2.0, and not 7/4 twice.
    assert_same(generation_loss(of(-1.0, -6.0), torch.tensor([1, 3])), of(1.0, 2.0))


def test_the_shift_is_the_mean_of_every_reward_so_far_however_they_came_in() -> None:
    values = torch.randn(24, generator=torch.Generator().manual_seed(0))
    at_once = shifted(RewardShift.zero(), values)
    by_parts = RewardShift.zero()
    for part in values.split([1, 2, 7, 14]):
        by_parts = shifted(by_parts, part)
    assert at_once.value.item() == pytest.approx(values.mean().item(), rel=1e-5)
    assert by_parts.value.item() == pytest.approx(values.mean().item(), rel=1e-5)


def test_the_shift_carries_no_gradient() -> None:
    chosen, rejected = of(0.3, -0.2).requires_grad_(), of(0.1, 0.4)
    shift = shifted(RewardShift.zero(), chosen, rejected)
    assert not shift.value.requires_grad
    live = (chosen.mean() + rejected.mean()) / 2
    config = MPOConfig(preference_weight=0.0, quality_weight=1.0, generation_weight=0.0)
    out = mpo_loss(chosen, chosen, rejected, torch.tensor([1, 1]), shift=live, num_pairs=1, config=config)
    expected = torch.sigmoid(live.detach() - chosen).neg()
    assert_same(torch.autograd.grad(out.loss, chosen)[0], expected.detach())


def batch_gradient(parts: list[int], shift: torch.Tensor) -> torch.Tensor:
    """The gradient of twelve pairs, computed in parts."""
    generator = torch.Generator().manual_seed(1)
    logps = (-5 * torch.rand(12, 2, generator=generator)).requires_grad_()
    reference = -5 * torch.rand(12, 2, generator=generator)
    num_tokens = torch.arange(1, 13)
    for rows in torch.arange(12).split(parts):
        chosen, rejected = (implicit_rewards(logps[rows, side], reference[rows, side], 0.1) for side in (0, 1))
        mpo_loss(
            logps[rows, 0], chosen, rejected, num_tokens[rows], shift=shift, num_pairs=12, config=CONFIG
        ).loss.backward()
    assert logps.grad is not None
    return logps.grad


@pytest.mark.parametrize("parts", [[6, 6], [1] * 12, [5, 7]])
def test_every_split_into_micro_batches_gives_the_same_gradient(parts: list[int]) -> None:
    shift = torch.tensor(0.03)
    assert_same(batch_gradient(parts, shift), batch_gradient([12], shift))


@pytest.mark.parametrize("kept", ["preference", "quality", "generation"])
def test_a_term_of_weight_zero_cannot_touch_the_gradient_even_where_it_is_infinite(kept: str) -> None:
    weights = {f"{name}_weight": float(name == kept) for name in ("preference", "quality", "generation")}
    logps = of(-2.0).requires_grad_()
    nothing = torch.full((1,), math.nan)
    given_rewards = (nothing, nothing) if kept == "generation" else (logps * 0.1, of(0.5))
    num_tokens = torch.tensor([2 if kept == "generation" else 0])
    out = mpo_loss(logps, *given_rewards, num_tokens, shift=of(0.0)[0], num_pairs=1, config=MPOConfig(**weights))
    assert isinstance(out, MPOOutput)
    assert out.loss.isfinite()
    assert torch.autograd.grad(out.loss, logps)[0].isfinite().all()


@given(rewards)
def test_a_better_chosen_completion_never_costs_more(chosen: list[float]) -> None:
    values, rejected = torch.tensor(chosen), torch.zeros(len(chosen))
    assert (preference_loss(values + 0.5, rejected) <= preference_loss(values, rejected)).all()
    shift = torch.tensor(0.0)
    assert (quality_loss(values + 0.5, rejected, shift) <= quality_loss(values, rejected, shift)).all()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"beta": 0.0}, "mpo.beta must be above 0, got 0.0"),
        ({"quality_weight": -0.2}, "mpo.quality_weight must be at least 0, got -0.2"),
        (
            {"preference_weight": 0.0, "quality_weight": 0.0, "generation_weight": 0.0},
            "must not all be 0: there would be nothing to learn",
        ),
    ],
)
def test_settings_that_cannot_learn_are_refused(settings: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        MPOConfig(**settings)
