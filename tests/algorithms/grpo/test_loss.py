"""The clipped GRPO surrogate."""

import math

import pytest
import torch

from algorithms.errors import ConfigError
from algorithms.grpo.averages import StepSize
from algorithms.grpo.config import GRPOConfig
from algorithms.grpo.loss import GRPOOutput, grpo_loss
from tests.algorithms.hand_made import samples
from tests.assertions import assert_same

CONFIG = GRPOConfig(clip_low=0.2, clip_high=0.3)
B, T = 5, 7


class Case:
    """A random micro-batch with ratios on both sides of the clip, ragged completions and padding."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.policy_logps = torch.randn(B, T, generator=generator) - 2.0
        self.behavior_logps = self.policy_logps + 0.4 * torch.randn(B, T, generator=generator)
        self.advantages = torch.randn(B, generator=generator)
        lengths = torch.randint(1, T + 1, (B,), generator=generator)
        self.is_completion = torch.arange(T)[None, :] < lengths[:, None]
        self.policy_logps.requires_grad_()

    def loss(self, rows: slice = slice(None), **changed: torch.Tensor) -> GRPOOutput:
        tensors = {**vars(self), **changed}
        names = ("behavior_logps", "advantages", "is_completion")
        batch = samples(**{name: tensors[name][rows] for name in names})
        return grpo_loss(tensors["policy_logps"][rows], batch, size=StepSize(B, 0, 0), config=CONFIG)

    def gradient(self, rows: slice = slice(None), **changed: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(self.loss(rows, **changed).loss, self.policy_logps)[0]


def one_token(ratio: float, advantage: float) -> tuple[GRPOOutput, float]:
    """Return the output for one token and the gradient with respect to its log-prob."""
    policy_logps = torch.tensor([[math.log(ratio)]], requires_grad=True)
    batch = samples(torch.zeros(1, 1), torch.tensor([advantage]), torch.ones(1, 1, dtype=torch.bool))
    out = grpo_loss(policy_logps, batch, size=StepSize(1, 0, 0), config=CONFIG)
    return out, torch.autograd.grad(out.loss, policy_logps)[0].item()


def test_two_samples_by_hand() -> None:
    policy_logps = torch.tensor([[2.0, 0.5], [0.5, 1.0]]).log()
    batch = samples(torch.zeros(2, 2), torch.tensor([1.0, -2.0]), torch.tensor([[True, True], [True, False]]))
    out = grpo_loss(policy_logps, batch, size=StepSize(2, 0, 0), config=CONFIG)
    # Sample 1: min(2, 1.3) and min(0.5, 0.8), mean 0.9. Sample 2: min(-1, -1.6). Loss: -(0.9 - 1.6) / 2.
    assert_same(out.loss, torch.tensor(0.35))
    assert_same(out.clipped_fraction, torch.tensor([0.5, 1.0]))
    assert_same(out.log_ratio, torch.tensor([0.0, math.log(0.5)]))


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_matches_the_formula_written_as_a_loop(seed: int) -> None:
    case = Case(seed)
    total = 0.0
    for i in range(B):
        advantage, terms = case.advantages[i].item(), []
        for t in range(T):
            if case.is_completion[i, t]:
                ratio = math.exp((case.policy_logps[i, t] - case.behavior_logps[i, t]).item())
                terms.append(min(ratio * advantage, min(max(ratio, 0.8), 1.3) * advantage))
        total += sum(terms) / len(terms)
    assert_same(case.loss().loss, torch.tensor(-total / B))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_micro_batches_add_up_to_the_gradient_of_the_whole_batch(size: int) -> None:
    case = Case()
    parts = sum((case.gradient(slice(i, i + size)) for i in range(0, B, size)), torch.zeros(B, T))
    assert_same(parts, case.gradient())


def test_values_at_padding_do_not_matter() -> None:
    case = Case()
    garbage = torch.where(case.is_completion, case.behavior_logps, 1e6)
    assert_same(case.loss(behavior_logps=garbage).loss, case.loss().loss)
    assert_same(case.gradient(behavior_logps=garbage), case.gradient())


@pytest.mark.parametrize("poison", [-math.inf, math.inf, math.nan])
@pytest.mark.parametrize("name", ["policy_logps", "behavior_logps"])
def test_an_infinite_log_prob_at_padding_poisons_neither_loss_nor_gradient(poison: float, name: str) -> None:
    case = Case()
    expected_loss, expected_gradient = case.loss().loss, case.gradient()
    with torch.no_grad():
        vars(case)[name][~case.is_completion] = poison
    out = case.loss()
    assert_same(out.loss, expected_loss)
    assert_same(case.gradient(), expected_gradient)
    assert out.log_ratio.isfinite().all()
    assert out.clipped_fraction.isfinite().all()


def test_the_on_policy_gradient_is_that_of_reinforce() -> None:
    case = Case()
    case.behavior_logps = case.policy_logps.detach().clone()
    num_tokens = case.is_completion.sum(dim=1)
    per_sample = (case.policy_logps * case.is_completion).sum(dim=1) / num_tokens
    reinforce = -(case.advantages * per_sample).sum() / B
    assert_same(case.gradient(), torch.autograd.grad(reinforce, case.policy_logps)[0])


def test_a_fresh_sample_has_ratio_one_and_nothing_clipped() -> None:
    case = Case()
    out = case.loss(behavior_logps=case.policy_logps.detach())
    assert torch.equal(out.clipped_fraction, torch.zeros(B))
    assert torch.equal(out.log_ratio, torch.zeros(B))
    assert_same(out.loss, -case.advantages.mean())


@pytest.mark.parametrize(
    ("ratio", "advantage", "is_clipped"),
    [
        (1.5, 1.0, True),  # already more likely than the clip lets a good token become
        (0.5, -1.0, True),  # already less likely than the clip lets a bad token become
        (0.5, 1.0, False),  # a good token that fell: must come back
        (1.5, -1.0, False),  # a bad token that rose: must go down
        (1.25, 1.0, False),
        (0.85, -1.0, False),
    ],
)
def test_the_clip_removes_the_gradient_in_exactly_the_two_right_cases(
    ratio: float, advantage: float, is_clipped: bool
) -> None:
    out, gradient = one_token(ratio, advantage)
    assert out.clipped_fraction.item() == is_clipped
    assert_same(torch.tensor(gradient), torch.tensor(0.0 if is_clipped else -ratio * advantage))


def test_each_bound_of_the_clip_is_its_own() -> None:
    assert one_token(1.25, 1.0)[0].clipped_fraction.item() == 0.0  # above 1 + clip_low, below 1 + clip_high
    assert one_token(0.75, -1.0)[0].clipped_fraction.item() == 1.0  # below 1 - clip_low, above 1 - clip_high


def test_a_sample_without_advantage_gives_no_gradient() -> None:
    case = Case()
    case.advantages = torch.zeros(B)
    assert torch.equal(case.gradient(), torch.zeros(B, T))


def test_a_row_without_tokens_counts_zero() -> None:
    case = Case()
    case.is_completion[0] = False
    out = case.loss()
    assert out.loss.isfinite()
    assert out.log_ratio[0].item() == out.clipped_fraction[0].item() == 0.0


def test_logged_values_carry_no_gradient() -> None:
    out = Case().loss()
    assert not out.clipped_fraction.requires_grad
    assert not out.log_ratio.requires_grad


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dual_clip", 1.1),
        ("kl_weight", -0.1),
        ("engine_ratio_cap", 0.0),
        ("veto_log_ratio", -1.0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_name(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"grpo\.{key} must .*got {value}"):
        GRPOConfig(**{key: value})


@pytest.mark.parametrize("bounds", [{"clip_low": 0.0}, {"clip_low": 1.1}, {"clip_low": math.nan}, {"clip_high": 0.0}])
def test_a_clip_that_would_stop_all_learning_is_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"grpo\.{next(iter(bounds))} .*got"):
        GRPOConfig(**bounds)
