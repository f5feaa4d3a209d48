"""End of turn is a set of tokens, the same for engine, learner, finish reason and export."""

from pathlib import Path
from typing import Any

import pytest
import torch

from algorithms import ConfigError, Prompt
from models import PretrainedPolicy, save_pretrained
from models.reading.prompt_encoder import right_pad
from rollouts import SamplingConfig, TransformersEngine
from rollouts.vllm.requests import requests_of
from tests.models.conventions import (
    CHATML_TEMPLATE,
    CONVENTIONS,
    R1_ASSISTANT,
    R1_BOS,
    R1_EOS,
    R1_USER,
    text_policy,
    vision_policy,
)

ENDS = {
    "chatml": ["<|im_end|>", "<|endoftext|>"],
    "llama3": ["<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"],
    "internvl": ["<|im_end|>"],
    "r1": [R1_EOS],
}
PROMPT = Prompt(uid=0, key="0", question="how many ?")


def ids_of(policy: Any, texts: list[str]) -> list[int]:
    return policy.encoder.tokenizer.convert_tokens_to_ids(texts)


@pytest.mark.parametrize("make", [text_policy, vision_policy])
@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_policy_ends_its_turn_with_every_end_token_that_its_files_and_its_template_name(name: str, make) -> None:
    policy = make(name)
    assert list(policy.end_token_ids) == ids_of(policy, ENDS[name])
    assert policy.end_token_id == ids_of(policy, [CONVENTIONS[name].closing])[0]
    assert not set(policy.end_token_ids) & set(policy.banned_token_ids.tolist())


@pytest.mark.parametrize(
    ("name", "allowed", "banned"),
    [
        ("chatml", ["<think>", "</think>", "<tool_call>", "<answer>", "<|box_start|>"],
         ["<|im_start|>", "<|vision_start|>", "<|image_pad|>", "<|video_pad|>"]),
        ("llama3", ["<|python_tag|>"],
         ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_0|>", "<image>"]),
        ("internvl", ["<box>", "</box>", "<ref>", "<quad>", "<think>"],
         ["<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<|im_start|>", "<|endoftext|>"]),
        ("r1", ["<think>", "</think>"], [R1_BOS, R1_USER, R1_ASSISTANT, "<image>"]),
    ],
)  # fmt: skip
def test_what_a_completion_needs_may_be_sampled_and_what_makes_its_structure_may_not(name, allowed, banned) -> None:
    policy = vision_policy(name)
    forbidden = set(policy.banned_token_ids.tolist())
    assert forbidden.isdisjoint(ids_of(policy, allowed))
    assert forbidden.issuperset(ids_of(policy, banned))


def test_reasoning_tags_that_a_tokenizer_calls_special_are_not_banned() -> None:
    convention = CONVENTIONS["chatml"]
    tags = [*convention.added, "<my_thoughts>", "</my_thoughts>", "<lonely>"]
    policy = text_policy("chatml", special=[*convention.special, *tags], added=[])
    banned = set(policy.banned_token_ids.tolist())
    assert banned.isdisjoint(ids_of(policy, tags[:-1]))
    assert banned.issuperset(ids_of(policy, ["<lonely>"]))


@pytest.mark.parametrize("name", ["chatml", "llama3"])
def test_sampling_stops_at_any_end_token_and_the_learner_scores_what_was_sampled(name: str) -> None:
    policy = text_policy(name)
    engine = TransformersEngine()
    engine.sync(policy, version=0)
    sampling = SamplingConfig(group_size=48, temperature=1.0, max_new_tokens=40)
    (group,) = engine.generate([PROMPT], sampling, seed=1)
    last = {int(completion.token_ids[-1]) for completion in group if completion.finish_reason == "stop"}
    assert last == set(policy.end_token_ids)
    for completion in group:
        ids = completion.token_ids.tolist()
        has_ended = completion.finish_reason == "stop"
        assert [token in policy.end_token_ids for token in ids] == [False] * (len(ids) - 1) + [has_ended]
        assert len(ids) == 40 or has_ended
        assert completion.text == policy.encoder.tokenizer.decode(ids[:-1] if has_ended else ids)
    ids, is_completion = right_pad([completion.token_ids for completion in group], policy.pad_token_id)
    with torch.no_grad():
        scores = policy.completion_scores([PROMPT], torch.zeros(len(group), dtype=torch.long), ids, is_completion)
    behavior = right_pad([completion.behavior_logps for completion in group], 0)[0]
    torch.testing.assert_close(scores.logps, behavior, rtol=0.0, atol=1e-4)


def test_vllm_is_told_every_end_token() -> None:
    policy = text_policy("llama3")
    (request,) = requests_of(policy, [PROMPT], SamplingConfig(), seed=0)
    assert request.stop_token_ids == list(policy.end_token_ids)


def test_a_completion_given_as_text_ends_with_the_token_that_closes_a_turn() -> None:
    policy = text_policy("chatml")
    ended, cut = policy.encoder.completion_ids(["two", "two"], [True, False])
    assert ended.tolist() == [*cut.tolist(), *ids_of(policy, ["<|im_end|>"])]


def test_an_export_keeps_the_end_tokens(tmp_path: Path) -> None:
    policy = vision_policy("llama3")
    save_pretrained(policy, str(tmp_path))
    again = PretrainedPolicy(str(tmp_path)).build()
    assert again.end_token_ids == policy.end_token_ids
    assert again.model.generation_config.eos_token_id == list(policy.end_token_ids)
    assert torch.equal(again.banned_token_ids, policy.banned_token_ids)


def test_a_default_of_a_config_that_is_no_end_token_ends_nothing() -> None:
    # transformers takes eos of a model's config where generation_config.json is missing: in Llama's it is 2.
    policy = text_policy("chatml", listed_ends=("<|im_start|>", "A", "<think>"))
    assert list(policy.end_token_ids) == ids_of(policy, ["<|im_end|>", "<|endoftext|>"])


@pytest.mark.parametrize(
    ("closing", "kind"),
    [
        ("<|image_pad|>", "an image"),
        ("<|im_start|>", "the start of a turn"),
        ("<|unknown|>", "the unknown word"),
        ("<|pad|>", "padding or the start of a text"),
        ("<|bos|>", "padding or the start of a text"),
        ("</think>", "part of a completion"),
    ],
)
def test_a_template_that_closes_a_turn_with_a_banned_token_is_refused(closing: str, kind: str) -> None:
    template = CHATML_TEMPLATE.replace("text + '<|im_end|>", f"text + '{closing}")
    special = [*CONVENTIONS["chatml"].special, "<|pad|>", "<|bos|>", "<|unknown|>"]

    def build() -> Any:
        import tests.models.conventions as conventions

        convention = CONVENTIONS["chatml"]._replace(special=special, template=template, pad="<|pad|>", listed_ends=())
        tokenizer = conventions.tokenizer_of(convention)
        tokenizer.unk_token, tokenizer.bos_token = "<|unknown|>", "<|bos|>"
        tokenizer.image_token = "<|image_pad|>"
        return conventions.Policy(conventions._language_model(convention, tokenizer), tokenizer)

    with pytest.raises(ConfigError) as refused:
        build()
    message = str(refused.value)
    assert f"closes a turn with {closing!r}, which stands for {kind}" in message
    assert "\n" not in message


def test_a_template_whose_closing_token_is_eos_is_taken_whatever_else_that_token_is() -> None:
    policy = text_policy("chatml", eos="<|im_end|>", pad="<|im_end|>", listed_ends=())
    assert list(policy.end_token_ids) == ids_of(policy, ["<|im_end|>"])


def test_a_tokenizer_without_any_end_token_is_refused() -> None:
    template = CHATML_TEMPLATE.replace("<|im_end|>", "")
    with pytest.raises(ConfigError, match="no completion could end"):
        text_policy("chatml", eos=None, listed_ends=(), template=template)
