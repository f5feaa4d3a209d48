"""The relatives of GRPO: each against a slow loop, closed forms, micro-batches, and TRL 1.16 where it has it."""

import math
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from trl.rewards import get_soft_overlong_punishment
from trl.trainer.grpo_trainer import GRPOTrainer

from algorithms.experience_batch import ExperienceBatch
from algorithms.grpo.averages import StepSize
from algorithms.grpo.config import GRPOConfig
from algorithms.grpo.kl import k1, k2, k3
from algorithms.grpo.loss import engine_weights, grpo_loss
from algorithms.grpo.overlong import overlong_penalty
from tests.algorithms.hand_made import samples
from tests.assertions import assert_same

B, T = 6, 5
BASE = GRPOConfig(clip_low=0.2, clip_high=0.3)
VARIANTS = {
    "paper": BASE,
    "dapo": replace(BASE, average="token"),
    "dr_grpo": replace(BASE, average="constant"),
    "gspo": replace(BASE, ratio="sequence", clip_low=0.05, clip_high=0.1),
    "cispo": replace(BASE, surrogate="cispo", clip_high=0.2, average="token"),
    "dual_clip": replace(BASE, dual_clip=1.35),
    "kl_k1": replace(BASE, kl_weight=0.3, kl_estimator="k1"),
    "kl_k2": replace(BASE, kl_weight=0.3, kl_estimator="k2"),
    "kl_k3": replace(BASE, kl_weight=0.3, kl_estimator="k3"),
    "tis": replace(BASE, engine_ratio_cap=1.2),
    "entropy": replace(BASE, entropy_weight=0.1),
    "veto": replace(BASE, veto_log_ratio=0.01),
}  # fmt: skip


class Case:
    """Rows with ratios on both sides of every bound, ragged, half of them replayed and weighted."""

    def __init__(self, seed: int = 0, *, weighted: bool = True) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        self.policy_logps = (normal(B, T) - 2.0).requires_grad_()
        near = self.policy_logps.detach()
        self.reference_logps, self.entropies = near + 0.5 * normal(B, T), normal(B, T).abs().requires_grad_()
        lengths = torch.randint(1, T + 1, (B,), generator=generator)
        self.samples = samples(
            near + 0.4 * normal(B, T), normal(B), torch.arange(T)[None, :] < lengths[:, None],
            engine_logps=near + 0.4 * normal(B, T), is_replay=torch.arange(B) % 2 == 0,
            weights=normal(B).abs() if weighted else torch.ones(B),
        )  # fmt: skip

    @property
    def size(self) -> StepSize:
        return StepSize(B, int(self.samples.is_completion.sum()), T)

    def loss(self, config: GRPOConfig, rows: slice = slice(None)) -> torch.Tensor:
        part = ExperienceBatch(**{name: column[rows] for name, column in self.samples.columns().items()})
        return grpo_loss(
            self.policy_logps[rows], part, size=self.size, config=config,
            reference_logps=self.reference_logps[rows], entropies=self.entropies[rows],
        ).loss  # fmt: skip

    def gradient(self, config: GRPOConfig, rows: slice = slice(None)) -> torch.Tensor:
        return torch.autograd.grad(self.loss(config, rows), self.policy_logps)[0]


def loop(case: Case, config: GRPOConfig) -> float:
    """Write the objective down token by token."""
    c, total = case.samples, 0.0
    for i in range(B):
        steps = [t for t in range(T) if c.is_completion[i, t]]
        logps = [case.policy_logps[i, t].item() for t in steps]
        ratios = [math.exp(p - c.behavior_logps[i, t].item()) for p, t in zip(logps, steps, strict=True)]
        mean_log = sum(map(math.log, ratios)) / len(steps)
        if config.ratio == "sequence":
            ratios = [math.exp(mean_log)] * len(steps)
        a, values = c.advantages[i].item(), []
        for t, logp, ratio in zip(steps, logps, ratios, strict=True):
            if config.surrogate == "cispo":
                value = min(ratio, 1 + config.clip_high) * a * logp
            else:
                value = min(ratio * a, min(max(ratio, 1 - config.clip_low), 1 + config.clip_high) * a)
            if config.dual_clip is not None and a < 0:
                value = max(value, config.dual_clip * a)
            if config.engine_ratio_cap is not None:
                assert c.engine_logps is not None
                gap = (c.behavior_logps[i, t] - c.engine_logps[i, t]).item()
                value *= min(math.exp(gap), config.engine_ratio_cap)
            value *= c.weights[i].item()
            d = logp - case.reference_logps[i, t].item()
            value -= config.kl_weight * {"k1": d, "k2": d * d / 2, "k3": math.exp(-d) - 1 + d}[config.kl_estimator]
            values.append(value + config.entropy_weight * case.entropies[i, t].item())
        is_stale = config.veto_log_ratio is not None and -mean_log > config.veto_log_ratio
        if is_stale and bool(c.is_replay[i]) and a < 0:
            continue
        divisor = {"sequence": B * len(steps), "token": int(c.is_completion.sum()), "constant": B * T}[config.average]
        total += sum(values) / divisor
    return -total


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_matches_its_formula_written_as_a_loop(name: str, seed: int) -> None:
    case = Case(seed)
    assert_same(case.loss(VARIANTS[name]), torch.tensor(loop(case, VARIANTS[name])))


@pytest.mark.parametrize("name", VARIANTS)
def test_micro_batches_of_every_variant_add_up_to_the_gradient_of_the_whole(name: str) -> None:
    case = Case()
    parts = sum((case.gradient(VARIANTS[name], slice(i, i + 2)) for i in range(0, B, 2)), torch.zeros(B, T))
    assert_same(parts, case.gradient(VARIANTS[name]))


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "paper"])
def test_every_variant_is_another_objective_than_the_paper_s(name: str) -> None:
    assert any(Case(seed).loss(VARIANTS[name]) != Case(seed).loss(BASE) for seed in range(3))


@pytest.mark.parametrize("name", VARIANTS)
def test_what_lies_at_padding_does_not_matter_to_any_variant(name: str) -> None:
    case, poisoned = Case(), Case()
    padding = ~case.samples.is_completion
    with torch.no_grad():
        for tensor in (poisoned.policy_logps, poisoned.samples.behavior_logps, poisoned.samples.engine_logps,
                       poisoned.reference_logps):  # fmt: skip
            assert tensor is not None
            tensor[padding] = -math.inf
    assert_same(poisoned.loss(VARIANTS[name]), case.loss(VARIANTS[name]))
    assert_same(poisoned.gradient(VARIANTS[name]), case.gradient(VARIANTS[name]))


def test_an_entropy_bonus_pushes_entropies_up() -> None:
    case = Case()
    gradient = torch.autograd.grad(case.loss(VARIANTS["entropy"]), case.entropies)[0]
    assert (gradient[case.samples.is_completion] < 0.0).all()
    assert torch.equal(gradient[~case.samples.is_completion], torch.zeros(int((~case.samples.is_completion).sum())))


def test_kl_estimators_by_hand_and_without_distance() -> None:
    d = torch.tensor([[math.log(2.0), -math.log(2.0), 0.0]])
    assert_same(k1(d), d)
    assert_same(k2(d), torch.tensor([[0.240227, 0.240227, 0.0]]))
    assert_same(k3(d), torch.tensor([[0.193147, 0.306853, 0.0]]))


def test_k1_and_k3_estimate_the_kl_and_k2_has_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, generator=generator, dtype=torch.double).requires_grad_()
    logp, reference = logits.log_softmax(0), torch.randn(4, generator=generator, dtype=torch.double).log_softmax(0)
    kl = (logp.exp() * (logp - reference)).sum()
    probs, d = logp.exp().detach(), (logp - reference)[None]
    for estimator in (k1, k3):
        assert_same((probs * estimator(d)[0]).sum(), kl)
    expected_gradient = torch.autograd.grad(kl, logits, retain_graph=True)[0]
    assert_same(torch.autograd.grad((probs * k2(d)[0]).sum(), logits, retain_graph=True)[0], expected_gradient)
    assert_same(torch.autograd.grad((probs * k1(d)[0]).sum(), logits)[0], torch.zeros(4, dtype=torch.double))


def test_engine_weights_are_capped_above_and_one_where_engine_and_learner_agree() -> None:
    behavior = torch.tensor([[math.log(0.5), math.log(0.2), 0.0]])
    engine = torch.tensor([[math.log(0.1), math.log(0.4), 0.0]])
    rows = samples(behavior, torch.ones(1), torch.ones(1, 3, dtype=torch.bool), engine_logps=engine)
    assert_same(engine_weights(rows, 2.0), torch.tensor([[2.0, 0.5, 1.0]]))
    assert_same(engine_weights(rows, None), torch.ones(1, 3))


def test_the_veto_drops_replayed_negatives_that_have_become_unlikely_and_nothing_else() -> None:
    rows = samples(
        torch.zeros(4, 1), torch.tensor([-1.0, -1.0, 1.0, -1.0]), torch.ones(4, 1, dtype=torch.bool),
        is_replay=torch.tensor([True, False, True, True]),
    )  # fmt: skip
    policy = torch.tensor([[-1.0], [-1.0], [-1.0], [-0.1]])  # log(behavior / pi): 1, 1, 1, 0.1
    out = grpo_loss(policy, rows, size=StepSize(4, 4, 1), config=replace(BASE, veto_log_ratio=0.5))
    assert out.is_vetoed.tolist() == [True, False, False, False]


def trl_loss(case: Case, loss_type: str, config: GRPOConfig, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return loss and gradient of TRL's own ``_compute_loss`` on the same tensors."""
    mask = case.samples.is_completion.int()
    trainer: Any = SimpleNamespace(
        loss_type=loss_type, importance_sampling_level=config.ratio, epsilon_low=config.clip_low,
        epsilon_high=config.clip_high, beta=config.kl_weight, off_policy_mask_threshold=None, top_entropy_quantile=1.0,
        use_vllm=False, vllm_importance_sampling_correction=False, max_completion_length=T, num_generations=2,
        current_gradient_accumulation_steps=1, tools=None, aux_loss_enabled=False,
        model=SimpleNamespace(training=True), _entropy_bonus_enabled=False,
        accelerator=SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
        _metrics={"train": defaultdict(list)},
        args=SimpleNamespace(delta=config.dual_clip, use_bias_correction_kl=False, steps_per_generation=1),
    )  # fmt: skip
    vars(trainer).update(settings)
    trainer._get_per_token_logps_and_entropies = lambda *a, **k: (case.policy_logps, case.entropies.detach(), None)
    inputs = {
        "prompt_ids": torch.zeros(B, 1, dtype=torch.long), "prompt_mask": torch.ones(B, 1, dtype=torch.long),
        "completion_ids": torch.zeros(B, T, dtype=torch.long), "completion_mask": mask,
        "advantages": case.samples.advantages, "old_per_token_logps": case.samples.behavior_logps,
        "ref_per_token_logps": case.reference_logps, "num_items_in_batch": mask.sum(),
    }  # fmt: skip
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    return loss.detach(), torch.autograd.grad(loss, case.policy_logps)[0]


@pytest.mark.parametrize(
    ("loss_type", "name"),
    [("grpo", "paper"), ("dapo", "dapo"), ("dr_grpo", "dr_grpo"), ("grpo", "gspo"), ("grpo", "dual_clip"),
     ("grpo", "kl_k3")],
)  # fmt: skip
def test_loss_and_gradient_are_those_of_trl(loss_type: str, name: str) -> None:
    case = Case(weighted=False)
    expected, gradient = trl_loss(case, loss_type, VARIANTS[name])
    assert_same(case.loss(VARIANTS[name]), expected)
    assert_same(case.gradient(VARIANTS[name]), gradient)


def test_cispo_is_that_of_trl_whose_bound_is_the_ratio_itself() -> None:
    case = Case(weighted=False)
    expected, gradient = trl_loss(case, "cispo", VARIANTS["cispo"], epsilon_high=1.0 + VARIANTS["cispo"].clip_high)
    assert_same(case.loss(VARIANTS["cispo"]), expected)
    assert_same(case.gradient(VARIANTS["cispo"]), gradient)


def test_the_overlong_penalty_falls_in_the_soft_zone_as_in_trl() -> None:
    lengths = torch.tensor([0, 80, 90, 100, 130])
    ours = overlong_penalty(lengths, max_tokens=100, soft_tokens=20)
    assert_same(ours, torch.tensor([0.0, 0.0, -0.5, -1.0, -1.0]))
    theirs = get_soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20)
    assert ours.tolist() == pytest.approx(theirs([[0] * n for n in lengths.tolist()]))
