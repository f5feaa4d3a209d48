"""However far policy, behavior and reference are apart, loss and gradient are finite; ordinary ratios are exact."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.errors import ConfigError
from algorithms.grpo.averages import StepSize
from algorithms.grpo.config import GRPOConfig
from algorithms.grpo.kl import KL_ESTIMATORS
from algorithms.grpo.loss import grpo_loss
from algorithms.grpo.ratios import LARGEST_LOG_RATIO, bounded_exp
from tests.algorithms.hand_made import samples

CONFIGS = {
    "paper": GRPOConfig(),
    "dual clip": GRPOConfig(dual_clip=3.0),
    "sequence": GRPOConfig(ratio="sequence"),
    "cispo": GRPOConfig(surrogate="cispo"),
    "engine": GRPOConfig(engine_ratio_cap=2.0),
    "veto": GRPOConfig(veto_log_ratio=0.5),
    **{f"kl {name}": GRPOConfig(kl_weight=0.1, kl_estimator=name) for name in ("k1", "k2", "k3")},
}
LOGPS = st.sampled_from([0.0, -1e-8, -1.0, -30.0, -89.0, -1e3, -1e6])


def loss_and_gradient(config: GRPOConfig, logps: list[float], *, advantage: float) -> tuple[float, torch.Tensor]:
    policy, behavior, reference, engine = (torch.tensor([[value, -1.0]]) for value in logps)
    policy.requires_grad_(True)
    rows = samples(behavior, torch.tensor([advantage]), torch.ones(1, 2, dtype=torch.bool))
    rows = replace(rows, engine_logps=engine, is_replay=torch.tensor([True]))
    size = StepSize(num_samples=1.0, num_tokens=2.0, max_tokens=2)
    out = grpo_loss(policy, rows, size=size, config=config, reference_logps=reference)
    out.loss.backward()
    assert policy.grad is not None
    return out.loss.item(), policy.grad


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(logps=st.lists(LOGPS, min_size=4, max_size=4), advantage=st.sampled_from([-2.5, 2.5]))
def test_loss_and_gradient_are_finite(name: str, logps: list[float], advantage: float) -> None:
    loss, gradient = loss_and_gradient(CONFIGS[name], logps, advantage=advantage)
    assert math.isfinite(loss)
    assert gradient.isfinite().all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(-80.0, LARGEST_LOG_RATIO, width=32))
def test_an_ordinary_ratio_is_exp_to_the_last_bit_with_its_gradient(value: float) -> None:
    one, other = (torch.tensor([value], requires_grad=True) for _ in range(2))
    bounded, plain = bounded_exp(one), other.exp()
    bounded.backward()
    plain.backward()
    assert torch.equal(bounded, plain)
    assert one.grad is not None
    assert other.grad is not None
    assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("distance", [21.0, 90.0, 1e4])
def test_k3_never_pulls_away_from_the_reference(distance: float) -> None:
    for sign in (-1.0, 1.0):
        difference = torch.tensor([[sign * distance]], requires_grad=True)
        KL_ESTIMATORS.find("k3")(difference).sum().backward()
        assert difference.grad is not None
        # Descending the estimate must not enlarge the difference.
        assert sign * difference.grad.item() >= 0.0


def test_a_dual_clip_that_cispo_would_ignore_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dual_clip must be null with surrogate cispo, got 3\.0"):
        GRPOConfig(surrogate="cispo", dual_clip=3.0)
