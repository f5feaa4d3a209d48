"""Forwards that a rank runs only because other ranks run them change nothing in what it learns."""

import pytest
import torch

from algorithms import Prompt
from models import Policy
from models.reading import completion_hidden as reading

ROWS = torch.tensor([2, 0, 1])
IDS = torch.randint(10, 40, (3, 6), generator=torch.Generator().manual_seed(0))
IS_COMPLETION = torch.arange(6)[None, :] < torch.tensor([6, 3, 1])[:, None]


def gradients(policy: Policy, prompts: list[Prompt]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    policy.set_trainable(["adapter", "language_model"])
    policy.zero_grad()
    logps = policy.completion_scores(prompts, ROWS, IDS, IS_COMPLETION).logps
    logps.sum().backward()
    return logps.detach(), {n: p.grad.clone() for n, p in policy.named_parameters() if p.grad is not None}


def tower_forwards(policy: Policy) -> list[int]:
    counted: list[int] = []
    policy.model.model.vision_tower.register_forward_hook(lambda *args: counted.append(1))
    return counted


def test_a_rank_without_images_reads_a_blank_one_when_another_rank_has_images(policy: Policy, monkeypatch) -> None:
    texts = [Prompt(uid=i, key=str(i), question=f"{'red ' * i}?") for i in range(3)]
    logps, alone = gradients(policy, texts)
    assert not any("projector" in name for name in alone)
    monkeypatch.setattr(reading, "largest_over_ranks", lambda module, *numbers: [1] * len(numbers))
    towers = tower_forwards(policy)
    together_logps, together = gradients(policy, texts)
    assert len(towers) == 1
    assert torch.equal(together_logps, logps)
    assert all(gradient.eq(0).all() for name, gradient in together.items() if "projector" in name)
    assert any("projector" in name for name in together)


@pytest.mark.parametrize("limit", [1, 40, 60])
def test_a_row_that_is_cut_gives_the_same_log_probabilities_and_gradients(
    policy: Policy, prompts, limit: int, monkeypatch
) -> None:
    forwards: list[int] = []
    policy.model.get_decoder().register_forward_hook(lambda *args: forwards.append(1))
    logps, whole = gradients(policy, prompts)
    assert len(forwards) == 1
    monkeypatch.setattr(reading, "_CACHED_TOKENS", limit)
    cut_logps, cut = gradients(policy, prompts)
    assert len(forwards) > 2
    torch.testing.assert_close(cut_logps, logps, atol=1e-5, rtol=1e-5)
    assert cut.keys() == whole.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(cut[name], gradient, atol=1e-5, rtol=1e-5)


def test_a_row_is_whole_where_ranks_share_weights(policy: Policy, prompts, monkeypatch) -> None:
    forwards: list[int] = []
    policy.model.get_decoder().register_forward_hook(lambda *args: forwards.append(1))
    monkeypatch.setattr(reading, "_CACHED_TOKENS", 1)
    monkeypatch.setattr(reading, "is_sharded", lambda module: True)
    gradients(policy, prompts)
    assert len(forwards) == 1


@pytest.mark.parametrize("trainable", ["adapter", "language_model"])
def test_activations_are_computed_again_also_in_a_frozen_language_model(policy: Policy, prompts, trainable) -> None:
    policy.set_trainable([trainable])
    policy.recompute_activations()
    policy.train()
    layers: list[int] = []
    policy.model.model.language_model.layers[0].mlp.register_forward_pre_hook(lambda *args: layers.append(1))
    policy.completion_scores(prompts, ROWS, IDS, IS_COMPLETION).logps.sum().backward()
    assert len(layers) == 2
    assert policy.model.model.language_model.training == (trainable == "language_model")
    assert not policy.model.model.language_model.layers[0].self_attn.training or trainable == "language_model"


def test_sampling_does_not_compute_again(policy: Policy) -> None:
    policy.set_trainable(["adapter"])
    policy.recompute_activations()
    policy.train()
    policy.eval()
    assert not any(layer.training for layer in policy.model.model.language_model.layers)
