import pytest
import torch

from algorithms import ConfigError, Prompt
from models import Policy


def logits_of(policy: Policy, prompts: list[Prompt]) -> torch.Tensor:
    ids = torch.tensor([[10, 11, 12]] * len(prompts))
    return policy.completion_logits(prompts, torch.arange(len(prompts)), ids, torch.ones_like(ids, dtype=torch.bool))


def test_there_are_as_many_image_tokens_as_image_features(policy: Policy, prompts: list[Prompt]) -> None:
    features = policy.image_features([policy.encoder.encode(p).vision for p in prompts])
    for prompt, of_prompt in zip(prompts, features, strict=True):
        ids = policy.encoder.encode(prompt).token_ids
        assert int((ids == policy.model.config.image_token_id).sum()) == sum(len(f) for f in of_prompt) == 9


def test_gradients_reach_the_adapter_through_the_frozen_language_model(policy: Policy, prompts) -> None:
    policy.set_trainable(["adapter"])
    logits_of(policy, prompts)[..., 20].sum().backward()
    inner = policy.model.model
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in inner.multi_modal_projector.parameters())
    frozen = [*inner.vision_tower.parameters(), *inner.language_model.parameters(), *policy.model.lm_head.parameters()]
    assert all(p.grad is None for p in frozen)


def test_frozen_parts_stay_in_eval_mode_while_the_others_train(policy: Policy) -> None:
    policy.set_trainable(["adapter"])
    policy.train()
    inner = policy.model.model
    assert inner.multi_modal_projector.training
    assert not inner.vision_tower.training
    assert not inner.language_model.training


def test_every_trainable_parameter_gets_a_gradient(policy: Policy, prompts: list[Prompt]) -> None:
    policy.set_trainable(["vision_tower", "adapter", "language_model"])
    logits_of(policy, prompts)[..., 20].sum().backward()
    assert [n for n, p in policy.named_parameters() if p.requires_grad and p.grad is None] == []


def test_an_unknown_part_is_refused_with_the_names_of_the_parts(policy: Policy) -> None:
    with pytest.raises(ConfigError, match=r"model.trainable .*'adapter'.*projector"):
        policy.set_trainable(["projector"])


def test_left_padding_does_not_change_the_logits(policy: Policy, prompts: list[Prompt]) -> None:
    with torch.no_grad():
        alone = logits_of(policy, prompts[:1])[0]
        padded = logits_of(policy, [prompts[0], prompts[2]])[0]
    kept = torch.isfinite(alone)
    torch.testing.assert_close(padded[kept], alone[kept], rtol=0.0, atol=1e-3)


def test_a_picture_shared_by_rows_gives_each_the_logits_it_has_alone(policy: Policy, prompts) -> None:
    ids = torch.tensor([[10, 11, 12], [13, 14, 15]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        shared = policy.completion_logits(prompts[:1], torch.tensor([0, 0]), ids, mask)
        alone = policy.completion_logits(prompts[:1], torch.tensor([0]), ids[1:], mask[1:])
    kept = torch.isfinite(alone[0])
    torch.testing.assert_close(shared[1][kept], alone[0][kept], rtol=0.0, atol=1e-3)
