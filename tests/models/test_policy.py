import pytest
import torch

from algorithms import ConfigError, Prompt
from models import Policy


def logps_of(policy: Policy, prompts: list[Prompt]) -> torch.Tensor:
    ids = torch.tensor([[10, 11, 12]] * len(prompts))
    is_completion = torch.ones_like(ids, dtype=torch.bool)
    return policy.completion_scores(prompts, torch.arange(len(prompts)), ids, is_completion).logps


def test_there_are_as_many_image_tokens_as_image_features(policy: Policy, prompts: list[Prompt]) -> None:
    features = policy.image_features([policy.encoder.encode(p).vision for p in prompts])
    for prompt, of_prompt in zip(prompts, features, strict=True):
        ids = policy.encoder.encode(prompt).token_ids
        assert int((ids == policy.model.config.image_token_id).sum()) == sum(len(f) for f in of_prompt) == 9


def test_gradients_reach_the_adapter_through_the_frozen_language_model(policy: Policy, prompts) -> None:
    policy.set_trainable(["adapter"])
    logps_of(policy, prompts).sum().backward()
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
    logps_of(policy, prompts).sum().backward()
    assert [n for n, p in policy.named_parameters() if p.requires_grad and p.grad is None] == []


def test_an_unknown_part_is_refused_with_the_names_of_the_parts(policy: Policy) -> None:
    with pytest.raises(ConfigError, match=r"model.learning.trainable .*'adapter'.*projector"):
        policy.set_trainable(["projector"])


def test_left_padding_does_not_change_the_log_probs(policy: Policy, prompts: list[Prompt]) -> None:
    with torch.no_grad():
        alone = logps_of(policy, prompts[:1])[0]
        padded = logps_of(policy, [prompts[0], prompts[2]])[0]
    torch.testing.assert_close(padded, alone, rtol=0.0, atol=1e-4)


ROWS = torch.tensor([2, 0, 0, 1, 0])
IDS = torch.randint(10, 40, (5, 6), generator=torch.Generator().manual_seed(0))
IS_COMPLETION = torch.arange(6)[None, :] < torch.tensor([6, 3, 1, 5, 2])[:, None]


def test_padding_scores_zero(policy: Policy, prompts: list[Prompt]) -> None:
    scores = policy.completion_scores(prompts, ROWS, IDS, IS_COMPLETION)
    assert scores.logps[~IS_COMPLETION].eq(0).all()
    assert scores.entropies[~IS_COMPLETION].eq(0).all()
    assert scores.logps[IS_COMPLETION].lt(0).all()


def test_completions_of_one_token_are_scored(policy: Policy, prompts: list[Prompt]) -> None:
    one = policy.completion_scores(prompts, ROWS, IDS[:, :1], torch.ones(5, 1, dtype=torch.bool)).logps
    more = policy.completion_scores(prompts, ROWS, IDS, IS_COMPLETION).logps
    torch.testing.assert_close(one[:, 0], more[:, 0], rtol=0.0, atol=1e-5)


def test_qwen_vl_has_the_three_parts_and_its_merger_is_the_adapter(qwen_vl_policy: Policy) -> None:
    qwen_vl_policy.set_trainable(["adapter"])
    learning = {name for name, p in qwen_vl_policy.model.named_parameters() if p.requires_grad}
    assert learning
    assert all(".merger." in name for name in learning)
    qwen_vl_policy.set_trainable(["vision_tower"])
    assert all(
        "visual" in n and "merger" not in n for n, p in qwen_vl_policy.model.named_parameters() if p.requires_grad
    )
