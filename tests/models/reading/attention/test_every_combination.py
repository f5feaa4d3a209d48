"""Packed rows are exact where several things meet: family, what learns, recomputation, precision, pairs, cut rows."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from algorithms import PreferencePair, Prompt
from lightning_modules.pair_logps import pair_logps
from models import LoRAConfig, Policy, add_lora
from models.reading import completion_hidden as reading
from tests.conftest import long
from tests.models.families import FAMILIES, Stripes, family
from tests.models.per_sample import assert_same, gradients, learn_by_lora, per_sample_logps

IDS = torch.randint(10, 40, (6, 7), generator=torch.Generator().manual_seed(1))
ROWS = torch.tensor([1, 3, 0, 1, 2, 0])
IS_COMPLETION = torch.arange(7)[None, :] < torch.tensor([7, 1, 3, 2, 6, 5])[:, None]


def adapter_alone(policy: Policy) -> None:
    policy.set_trainable(["adapter"])


def adapter_and_lora(policy: Policy) -> None:
    policy.set_trainable(["adapter"])
    add_lora(policy.model, LoRAConfig(rank=2, alpha=4))
    for name, parameter in policy.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3) if "lora_B" in name else None


LEARNING: dict[str, Callable[[Policy], None]] = {
    "adapter": adapter_alone, "adapter and LoRA": adapter_and_lora, "LoRA everywhere": learn_by_lora
}  # fmt: skip


def prompts() -> list[Prompt]:
    """A square picture, a wide one, two pictures and none, so that a cut row has parts of each kind."""
    square, wide, tall = Stripes(48, 48, 3), Stripes(96, 48, 5), Stripes(40, 80, 7)
    questions = ["how many red ?", "how many more red than blue ?", "how many <image> or <image> blue ?", "how many ?"]
    images = [(square,), (wide,), (tall, square), ()]
    return [
        Prompt(uid=i, key=str(i), question=question, images=of)
        for i, (question, of) in enumerate(zip(questions, images, strict=True))
    ]


def cut_rows(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Cut rows after some dozen tokens, and return a list that grows with every forward."""
    monkeypatch.setattr(reading, "_CACHED_TOKENS", 20)
    forwards: list[int] = []
    policy.model.get_decoder().register_forward_hook(lambda *args: forwards.append(1))
    return forwards


def packed(policy: Policy) -> torch.Tensor:
    return policy.completion_scores(prompts(), ROWS, IDS, IS_COMPLETION, temperature=0.8).logps


def alone(policy: Policy) -> torch.Tensor:
    return per_sample_logps(policy, prompts(), ROWS, IDS, IS_COMPLETION, 0.8)


@pytest.mark.parametrize("learning", ["adapter and LoRA", long("adapter"), long("LoRA everywhere")])
@pytest.mark.parametrize("name", FAMILIES)
def test_recomputed_rows_that_are_cut_have_the_gradient_of_each_completion_alone(
    name: str, learning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = family(name)
    LEARNING[learning](policy)
    theirs = alone(policy)
    expected = gradients(policy, theirs)
    policy.recompute_activations()
    policy.train()
    forwards = cut_rows(policy, monkeypatch)
    ours = packed(policy)
    assert len(forwards) > 2
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-5)
    assert_same(gradients(policy, ours), expected)


@pytest.mark.parametrize("learning", [long("adapter"), "adapter and LoRA"])
@pytest.mark.parametrize("name", [name if name == "qwen2_5_vl" else long(name) for name in FAMILIES])
def test_rounding_to_bfloat16_costs_a_packed_row_no_more_than_each_row_alone(name: str, learning: str) -> None:
    policy = family(name)
    LEARNING[learning](policy)
    policy.recompute_activations()
    policy.train()

    def away(read: Callable[[Policy], torch.Tensor]) -> float:
        exact = _flat(gradients(policy, read(policy)))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = _flat(gradients(policy, read(policy)))
        return float((rounded - exact).norm() / exact.norm())

    assert 1e-4 < away(packed) < 1.5 * away(alone)


@pytest.mark.parametrize("name", [name if name in ("internvl", "qwen3_vl") else long(name) for name in FAMILIES])
def test_pairs_of_one_prompt_learnt_by_lora_in_cut_rows_have_the_gradient_of_each_completion_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = family(name)
    adapter_and_lora(policy)
    shared, other = prompts()[2], prompts()[0]
    texts = ["red : 2", "blue circle", "how many red 3", "2", "green", "red circle : 1"]
    # Two pairs of the same prompt, between them one of another.
    order = [shared, other, shared]
    pairs = [
        PreferencePair(uid=i, prompt=prompt, chosen=texts[2 * i], rejected=texts[2 * i + 1])
        for i, prompt in enumerate(order)
    ]
    tokens = policy.encoder.completion_ids(texts, [True] * len(texts))
    ids = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
    is_completion = torch.arange(ids.shape[1]) < torch.tensor([len(one) for one in tokens])[:, None]
    rows = torch.tensor([0, 0, 1, 1, 0, 0])
    theirs = per_sample_logps(policy, [shared, other], rows, ids, is_completion, 1.0).sum(1).view(3, 2)
    expected = gradients(policy, theirs)
    policy.recompute_activations()
    policy.train()
    forwards = cut_rows(policy, monkeypatch)
    ours = pair_logps(policy, pairs).logps
    assert len(forwards) == 2  # one for each prompt, whatever number of pairs it has
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-4)
    assert_same(gradients(policy, ours), expected)


def _flat(named: dict[str, Any]) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in named.values()])
