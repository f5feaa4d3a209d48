import pytest
import torch

from algorithms import ConfigError, Prompt
from models import Policy
from models.reading.prompt_encoder import right_pad
from rollouts import SamplingConfig, TransformersEngine
from tests.assertions import assert_same

SAMPLING = SamplingConfig(group_size=4, temperature=0.8, max_new_tokens=12)


def sample(policy: Policy, prompts: list[Prompt], *, sampling=SAMPLING):
    engine = TransformersEngine()
    engine.sync(policy, version=0)
    return engine.generate(prompts, sampling, seed=7)


@pytest.mark.parametrize("family", ["policy", "qwen_vl_policy"])
def test_the_learner_gives_the_same_log_probs_as_the_engine(family: str, prompts: list[Prompt], request) -> None:
    policy: Policy = request.getfixturevalue(family)
    groups = sample(policy, prompts)
    completions = [completion for group in groups for completion in group]
    ids, is_completion = right_pad([c.token_ids for c in completions], policy.pad_token_id)
    rows = torch.arange(len(prompts)).repeat_interleave(4)
    with torch.no_grad():
        learner = policy.completion_scores(prompts, rows, ids, is_completion, temperature=SAMPLING.temperature)
    sampled = torch.cat([c.behavior_logps for c in completions])
    torch.testing.assert_close(learner.logps[is_completion], sampled, rtol=0.0, atol=1e-4)


def test_no_image_or_structural_token_is_ever_sampled(policy: Policy, prompts: list[Prompt]) -> None:
    groups = sample(policy, prompts, sampling=SamplingConfig(group_size=64, temperature=5.0, max_new_tokens=32))
    sampled = {int(t) for group in groups for c in group for t in c.token_ids}
    assert policy.model.config.image_token_id in policy.banned_token_ids.tolist()
    assert sampled.isdisjoint(policy.banned_token_ids.tolist())


def test_a_row_stops_at_its_own_end_token(policy: Policy, prompts: list[Prompt]) -> None:
    sampling = SamplingConfig(group_size=8, temperature=3.0, max_new_tokens=200)
    completions = [c for group in sample(policy, prompts, sampling=sampling) for c in group]
    for completion in completions:
        ends = (completion.token_ids == policy.end_token_id).nonzero().flatten().tolist()
        assert len(completion.token_ids) == len(completion.behavior_logps)
        if completion.finish_reason == "stop":
            assert ends == [len(completion.token_ids) - 1]
        else:
            assert not ends
            assert len(completion.token_ids) == 200
    assert {c.finish_reason for c in completions} >= {"stop"}


def test_greedy_takes_the_likeliest_token_as_generate_does(policy: Policy, prompts: list[Prompt]) -> None:
    groups = sample(policy, prompts, sampling=SamplingConfig(group_size=1, temperature=0.0, max_new_tokens=8))
    for prompt, group in zip(prompts, groups, strict=True):
        encoded = policy.encoder.encode(prompt)
        out = policy.model.generate(
            input_ids=encoded.token_ids[None],
            attention_mask=torch.ones_like(encoded.token_ids[None]),
            **encoded.vision,
            do_sample=False,
            max_new_tokens=8,
            suppress_tokens=policy.banned_token_ids.tolist(),
        )
        new = out[0, len(encoded.token_ids) :]
        assert new.tolist()[: len(group[0].token_ids)] == group[0].token_ids.tolist()


def test_different_pictures_give_different_distributions(policy: Policy, prompts: list[Prompt]) -> None:
    with torch.no_grad():
        logits = policy.model(**policy.prompt_inputs(prompts[:2]), logits_to_keep=1).logits[:, -1]
    assert (logits[0] - logits[1]).abs().max() > 1e-2


def test_training_mode_is_restored_after_sampling(policy: Policy, prompts: list[Prompt]) -> None:
    policy.train()
    sample(policy, prompts)
    assert policy.training


def test_chunks_give_every_prompt_its_group_in_order(policy: Policy, prompts: list[Prompt]) -> None:
    engine = TransformersEngine(max_rows=4)
    engine.sync(policy, version=0)
    groups = engine.generate(prompts, SAMPLING, seed=7)
    assert [len(group) for group in groups] == [4, 4, 4]
    assert_same(groups[0][0].behavior_logps, sample(policy, prompts)[0][0].behavior_logps)


def test_a_limit_below_one_row_is_refused_with_its_key() -> None:
    with pytest.raises(
        ConfigError, match=r"^model\.engine\.max_rows must be at least 1, got 0: nothing could be sampled"
    ):
        TransformersEngine(max_rows=0)


def test_a_group_larger_than_the_limit_is_sampled_whole(policy: Policy, prompts: list[Prompt]) -> None:
    engine = TransformersEngine(max_rows=1)
    engine.sync(policy, version=0)
    assert [len(group) for group in engine.generate(prompts, SAMPLING, seed=7)] == [4, 4, 4]


def test_a_completion_does_not_keep_the_memory_of_its_whole_batch(policy: Policy, prompts: list[Prompt]) -> None:
    for completion in sample(policy, prompts)[0]:
        for row in (completion.token_ids, completion.behavior_logps):
            assert row.untyped_storage().nbytes() == row.numel() * row.element_size()
