"""Head and losses against liger-kernel's, which fuses both in chunks: ``make test-liger``, float32.

Losses agree within 1e-6; gradients within 1e-5 of the largest number of each.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms import ExperienceBatch, GRPOConfig, MPOConfig, grpo_loss, implicit_rewards, mpo_loss, token_scores
from algorithms.grpo.averages import StepSize
from tests.algorithms.hand_made import samples as batch_of

pytestmark = pytest.mark.liger

SAMPLES, TOKENS, WIDTH, VOCABULARY = 6, 7, 16, 50
TEMPERATURE, MAX_TOKENS = 0.8, 9
IGNORED = -100
NONE_BANNED = torch.zeros(0, dtype=torch.long)

# Ours, and the same in liger's words. TRL, whom liger follows, gives cispo's upper bound whole.
GRPO: dict[str, tuple[GRPOConfig, dict[str, Any]]] = {
    "the paper's": (GRPOConfig(), {"loss_type": "grpo"}),
    "wider clip above": (GRPOConfig(clip_high=0.28), {"loss_type": "grpo", "epsilon_high": 0.28}),
    "mean over tokens": (GRPOConfig(average="token"), {"loss_type": "dapo"}),
    "constant divisor": (GRPOConfig(average="constant"), {"loss_type": "dr_grpo", "max_completion_length": MAX_TOKENS}),
    "whole completions": (GRPOConfig(ratio="sequence"), {"loss_type": "grpo", "importance_sampling_level": "sequence"}),
    "bounded below too": (GRPOConfig(dual_clip=1.3), {"loss_type": "grpo", "delta": 1.3}),
    "cispo": (
        GRPOConfig(surrogate="cispo", average="token", clip_high=0.25), {"loss_type": "cispo", "epsilon_high": 1.25},
    ),
    "with a reference": (GRPOConfig(kl_weight=0.3), {"loss_type": "grpo", "beta": 0.3}),
    "weights of the engine": (GRPOConfig(engine_ratio_cap=1.1), {"loss_type": "grpo"}),
}  # fmt: skip


@pytest.fixture
def head() -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states of padded rows, and weight and bias of a head, all learning."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((SAMPLES, TOKENS, WIDTH), (VOCABULARY, WIDTH), (VOCABULARY,))
    hidden, weight, bias = ((0.5 * torch.randn(shape, generator=generator)).requires_grad_() for shape in shapes)
    return hidden, weight, bias


@pytest.fixture
def samples(head: tuple[Tensor, Tensor, Tensor]) -> ExperienceBatch:
    """Completions of unequal lengths, some of whose ratios are cut on either side."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, VOCABULARY, (SAMPLES, TOKENS), generator=generator)
    is_completion = torch.arange(TOKENS) < torch.tensor([7, 3, 5, 1, 6, 2])[:, None]
    noise = 0.3 * torch.randn(2, SAMPLES, TOKENS, generator=generator)
    noise[0] += torch.tensor([0.4, -0.4, 0.5, -0.5, 0.0, 0.1])[:, None]
    behavior = our_logps(head, ids, is_completion).detach() + noise[0]
    advantages = torch.randn(SAMPLES, generator=generator)
    engine = behavior + noise[1]
    return batch_of(behavior, advantages, is_completion, completion_ids=ids, engine_logps=engine)


def our_logps(
    head: tuple[Tensor, Tensor, Tensor], ids: Tensor, is_completion: Tensor, temperature: float = TEMPERATURE,
    banned: Tensor = NONE_BANNED,
) -> Tensor:  # fmt: skip
    """Return log-probs (B, T), by a head that reads five tokens at a time."""
    hidden, weight, bias = head
    scores = token_scores(
        hidden[is_completion], weight, bias, ids[is_completion], banned_ids=banned, temperature=temperature,
        chunk_tokens=5,
    )  # fmt: skip
    return torch.zeros(ids.shape).masked_scatter(is_completion, scores.logps)


def with_gradients(loss: Tensor, head: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
    return loss.detach(), *torch.autograd.grad(loss, head)


def assert_equal(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(ours[0], theirs[0], rtol=0.0, atol=1e-6)
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(mine, other, rtol=0.0, atol=1e-5 * float(other.abs().max()))


def liger_grpo(
    head: tuple[Tensor, Tensor, Tensor], samples: ExperienceBatch, words: dict[str, Any], **more: Tensor
) -> Tensor:
    """Return liger's loss; every row is a chunk of its own."""
    from liger_kernel.chunked_loss import LigerFusedLinearGRPOLoss

    settings = {"beta": 0.0, "epsilon_low": 0.2, "epsilon_high": 0.2, **words}
    loss = LigerFusedLinearGRPOLoss(compiled=False, use_ref_model="beta" in words, temperature=TEMPERATURE, **settings)
    return loss(
        head[0], head[1], samples.completion_ids, samples.is_completion.long(), samples.advantages, bias=head[2],
        old_per_token_logps=samples.behavior_logps, **more,
    )[0]  # fmt: skip


@pytest.mark.parametrize("name", GRPO)
def test_grpo_and_its_relatives_have_ligers_loss_and_gradients(head, samples: ExperienceBatch, name: str) -> None:
    config, words = GRPO[name]
    logps = our_logps(head, samples.completion_ids, samples.is_completion)
    reference = logps.detach() + 0.2 * torch.randn(logps.shape, generator=torch.Generator().manual_seed(2))
    size = StepSize(SAMPLES, float(samples.is_completion.sum()), MAX_TOKENS)
    output = grpo_loss(logps, samples, size=size, config=config, reference_logps=reference)
    assert 0.0 < float(output.clipped_fraction.mean()) < 1.0
    more: dict[str, Tensor] = {"ref_per_token_logps": reference} if config.kl_weight else {}
    if config.engine_ratio_cap is not None:
        assert samples.engine_logps is not None
        more["vllm_is_ratio"] = (samples.behavior_logps - samples.engine_logps).exp().clamp_max(config.engine_ratio_cap)
    assert_equal(with_gradients(output.loss, head), with_gradients(liger_grpo(head, samples, words, **more), head))


def test_a_banned_token_is_one_whose_bias_is_minus_infinity(head, samples: ExperienceBatch) -> None:
    banned = torch.tensor([3, 41])
    ids = samples.completion_ids.where(samples.completion_ids != 3, 4) % 41
    logps = our_logps(head, ids, samples.is_completion, banned=banned)
    samples = replace(samples, completion_ids=ids, behavior_logps=logps.detach() + 0.1)
    size = StepSize(SAMPLES, 0.0, MAX_TOKENS)
    ours = grpo_loss(logps, samples, size=size, config=GRPOConfig()).loss
    hidden, weight, bias = head
    never = (hidden, weight, bias.index_fill(0, banned, -torch.inf))
    theirs = liger_grpo(never, samples, {"loss_type": "grpo"})
    assert_equal(with_gradients(ours, head), with_gradients(theirs, head))


def liger_dpo(loss_type: str, *, alpha: float = 0.0) -> Callable[..., Tensor]:
    from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss

    fused = LigerFusedLinearDPOLoss(
        ignore_index=IGNORED, beta=0.1, alpha=alpha, compute_nll_loss=bool(alpha), compiled=False, loss_type=loss_type
    )
    return lambda *args, **kwargs: fused(*args, **kwargs)[0]


TERMS = {
    "DPO": (MPOConfig(preference_weight=1.0, quality_weight=0.0, generation_weight=0.0), ["sigmoid"]),
    "BCO": (
        MPOConfig(preference_weight=0.0, quality_weight=1.0, generation_weight=0.0, reward_shift="none"), ["bco_pair"],
    ),
    "DPO and likelihood": (MPOConfig(preference_weight=1.0, quality_weight=0.0), ["sigmoid", "likelihood"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TERMS)
def test_pairs_have_ligers_loss_and_gradients(head, name: str) -> None:
    config, words = TERMS[name]
    generator = torch.Generator().manual_seed(3)
    pairs = SAMPLES // 2
    ids = torch.randint(0, VOCABULARY, (SAMPLES, TOKENS), generator=generator)
    # liger averages the likelihood over the tokens of a batch, the paper over those of each completion: equal lengths.
    lengths = torch.tensor([5, 5, 5, 7, 2, 3])
    is_completion = torch.arange(TOKENS) < lengths[:, None]
    shapes = ((SAMPLES, TOKENS, WIDTH), (VOCABULARY, WIDTH))
    reference = (*(0.5 * torch.randn(shape, generator=generator) for shape in shapes), head[2].detach())
    summed = our_logps(head, ids, is_completion, temperature=1.0).sum(1)
    anchored = our_logps(reference, ids, is_completion, temperature=1.0).sum(1)
    rewards = implicit_rewards(summed, anchored, config.beta)
    ours = mpo_loss(
        summed[:pairs], rewards[:pairs], rewards[pairs:], lengths[:pairs], shift=torch.tensor(0.0), num_pairs=pairs,
        config=config,
    ).loss  # fmt: skip
    fused = liger_dpo(words[0], alpha=1.0 if "likelihood" in words else 0.0)
    theirs = fused(
        head[1], head[0], ids.where(is_completion, IGNORED), bias=head[2], ref_input=reference[0],
        ref_weight=reference[1], ref_bias=reference[2],
    )  # fmt: skip
    assert_equal(with_gradients(ours, head), with_gradients(theirs, head))
