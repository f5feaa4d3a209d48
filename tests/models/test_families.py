"""The contract of a policy, for each family of models."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, PretrainedConfig, Qwen3Config

from algorithms import ConfigError, Prompt
from datamodules.shapes.language import WORDS
from models import LoRAConfig, Policy, add_lora
from models.assembly.tiny import word_tokenizer
from models.families import FAMILIES as KNOWN
from models.families import family_of, family_of_config
from models.parts import PARTS, part_modules
from models.reading.prompt_encoder import right_pad
from rollouts import SamplingConfig, TransformersEngine
from tests.models.families import FAMILIES, Stripes, family, qwen3
from tests.models.per_sample import assert_same, gradients, learn_by_lora, per_sample_logps, plain_inputs

IDS = torch.randint(10, 40, (5, 6), generator=torch.Generator().manual_seed(0))
ROWS = torch.tensor([2, 0, 0, 1, 3])
IS_COMPLETION = torch.arange(6)[None, :] < torch.tensor([6, 3, 1, 5, 2])[:, None]


@pytest.fixture
def prompts() -> list[Prompt]:
    """A square picture, a wide one, two pictures and none."""
    square, wide, tall = Stripes(48, 48, 3), Stripes(96, 48, 5), Stripes(40, 80, 7)
    questions = ["how many red ?", "how many more red than blue ?", "how many <image> or <image> blue ?", "how many ?"]
    images = [(square,), (wide,), (tall, square), ()]
    return [
        Prompt(uid=i, key=str(i), question=q, images=of, answer="1")
        for i, (q, of) in enumerate(zip(questions, images, strict=True))
    ]


@pytest.fixture(params=FAMILIES)
def policy(request: pytest.FixtureRequest) -> Policy:
    return family(request.param)


def scores(policy: Policy, prompts: list[Prompt]) -> torch.Tensor:
    return policy.completion_scores(prompts, ROWS, IDS, IS_COMPLETION, temperature=0.8).logps


def test_every_known_type_of_model_is_held_to_the_contract() -> None:
    assert {family(name).model.config.model_type for name in FAMILIES} == set(KNOWN)


def test_a_transformers_that_would_drop_the_images_is_refused() -> None:
    model = family("siglip_llava").model

    class Older(type(model)):
        def forward(self, input_ids: torch.Tensor, **kwargs: Any) -> Any:
            return super().forward(input_ids, **kwargs)

    model.__class__ = Older
    with pytest.raises(ConfigError, match="ignores images"):
        family_of(model)


@pytest.mark.parametrize(
    "model_type", ["llava_next", "gemma3", "idefics3", "smolvlm", "qwen3_5", "paligemma", "mllama"]
)
def test_a_vision_language_model_of_an_unknown_type_is_refused_with_the_known_types(model_type: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^model\.policy is .* '{model_type}'.* llava, internvl, .*qwen3_vl.*registry"
    ):
        family_of_config(AutoConfig.for_model(model_type))


def test_an_unknown_type_whose_code_lies_beside_the_weights_is_refused_too() -> None:
    class Theirs(PretrainedConfig):
        model_type = "theirs"
        vision_config = PretrainedConfig()

    with pytest.raises(ConfigError, match="'theirs'"):
        family_of_config(Theirs())


def test_any_causal_language_model_is_one_part() -> None:
    tokenizer = word_tokenizer(WORDS)
    model = qwen3(tokenizer)
    assert type(model.config) is Qwen3Config
    assert part_modules(model) == {"language_model": [model]}
    assert family_of(model).unused_modules(model) == []


def test_there_are_as_many_image_tokens_as_image_features(policy: Policy, prompts: list[Prompt]) -> None:
    encoded = policy.encoder.encode_all(prompts)
    features = policy.image_features([e.vision for e in encoded])
    for e, of_prompt in zip(encoded, features, strict=True):
        assert int((e.token_ids == policy.model.config.image_token_id).sum()) == sum(len(f) for f in of_prompt)
    assert [bool(f) for f in features] == [True, True, True, False]


@pytest.mark.parametrize("kind", ["kept", "recomputed", "recomputed, LoRA"])
def test_log_probs_and_gradients_are_those_of_a_plain_forward_of_each_row_alone(
    policy: Policy, prompts: list[Prompt], kind: str
) -> None:
    learn_by_lora(policy) if "LoRA" in kind else policy.set_trainable(PARTS)
    theirs = per_sample_logps(policy, prompts, ROWS, IDS, IS_COMPLETION, 0.8)
    expected = gradients(policy, theirs)
    if kind != "kept":
        policy.recompute_activations()
    policy.train()
    ours = scores(policy, prompts)
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-5)
    assert_same(gradients(policy, ours), expected)


def test_another_picture_gives_other_log_probs(policy: Policy, prompts: list[Prompt]) -> None:
    wide = Prompt(uid=9, key="9", question=prompts[0].question, images=(Stripes(48, 48, 11),))
    with torch.no_grad():
        one, other = (scores(policy, [p, *prompts[1:]])[1:3] for p in (prompts[0], wide))
    assert (one - other).abs().max() > 1e-2


def test_the_learner_gives_the_same_log_probs_as_the_engine(policy: Policy, prompts: list[Prompt]) -> None:
    engine, sampling = TransformersEngine(), SamplingConfig(temperature=0.8, max_new_tokens=12, group_size=3)
    engine.sync(policy, version=0)
    groups = engine.generate(prompts, sampling, seed=7)
    completions = [completion for group in groups for completion in group]
    ids, is_completion = right_pad([completion.token_ids for completion in completions], 0)
    behavior_logps = right_pad([completion.behavior_logps for completion in completions], 0)[0]
    rows = torch.arange(len(prompts)).repeat_interleave(3)
    with torch.no_grad():
        learner = policy.completion_scores(prompts, rows, ids, is_completion, temperature=0.8)
    torch.testing.assert_close(learner.logps, behavior_logps, rtol=0.0, atol=1e-4)


def test_greedy_completions_are_those_of_generate(policy: Policy, prompts: list[Prompt]) -> None:
    engine = TransformersEngine()
    engine.sync(policy, version=0)
    groups = engine.generate(prompts, SamplingConfig(temperature=0.0, max_new_tokens=6, group_size=1), seed=0)
    for prompt, group in zip(prompts, groups, strict=True):
        inputs = plain_inputs(policy, prompt)
        out = policy.model.generate(
            **inputs, do_sample=False, max_new_tokens=6, suppress_tokens=policy.banned_token_ids.tolist()
        )
        ids = group[0].token_ids.tolist()
        assert out[0, inputs["input_ids"].shape[1] :].tolist()[: len(ids)] == ids


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_learns_gets_all_its_gradients_and_no_other_gets_any(part: str, policy: Policy, prompts) -> None:
    policy.set_trainable([part])
    policy.train()
    scores(policy, prompts).sum().backward()
    inside = {id(p) for module in part_modules(policy.model)[part] for p in module.parameters()}
    learning = [p for p in policy.parameters() if p.requires_grad]
    assert learning
    assert all(id(p) in inside and p.grad is not None and p.grad.any() for p in learning)
    assert all(p.grad is None for p in policy.parameters() if not p.requires_grad)


def test_the_parts_are_the_whole_model_and_nothing_twice(policy: Policy) -> None:
    parts = part_modules(policy.model)
    owned = [{id(p) for module in modules for p in module.parameters()} for modules in parts.values()]
    assert list(parts) == list(PARTS)
    assert sum(len(ids) for ids in owned) == len(set().union(*owned))
    assert set().union(*owned) == {id(p) for p in policy.model.parameters()}


@pytest.mark.parametrize("part", PARTS)
def test_lora_on_a_part_learns_and_nothing_else_does(part: str, policy: Policy, prompts: list[Prompt]) -> None:
    policy.requires_grad_(False)
    before = scores(policy, prompts).detach()
    add_lora(policy.model, LoRAConfig(parts=(part,), rank=2, alpha=4))
    after = scores(policy, prompts)
    torch.testing.assert_close(after, before, rtol=0.0, atol=1e-5)
    after.sum().backward()
    learning = {name: p for name, p in policy.named_parameters() if p.requires_grad}
    assert learning
    assert all("lora_" in name for name in learning)
    # The other factor starts at zero, so that only this one has a gradient at first.
    assert all(p.grad is not None and p.grad.any() for name, p in learning.items() if "lora_B" in name)


def test_no_token_that_stands_for_an_image_can_be_sampled(policy: Policy) -> None:
    banned = set(policy.banned_token_ids.tolist())
    structural = {policy.model.config.image_token_id, *policy.encoder.tokenizer.all_special_ids}
    assert structural - {policy.end_token_id} <= banned


def test_a_tower_layer_behind_the_one_that_llava_reads_neither_learns_nor_gets_lora(prompts: list[Prompt]) -> None:
    policy = family("clip_llava")
    policy.model.config.vision_feature_layer = -2  # as llava-hf/llava-1.5-7b-hf
    policy.set_trainable(["vision_tower"])
    scores(policy, prompts).sum().backward()
    assert [name for name, p in policy.named_parameters() if p.requires_grad and p.grad is None] == []
    assert not any(p.requires_grad for p in policy.model.model.vision_tower.encoder.layers[-1].parameters())
    add_lora(policy.model, LoRAConfig(parts=("vision_tower",), rank=2, alpha=4))
    assert {name.split("layers.")[1][0] for name, _ in policy.named_parameters() if "lora_A" in name} == {"0"}
