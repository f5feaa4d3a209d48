"""A templated text has the tokens of ``apply_chat_template(tokenize=True)``: no second start of a text."""

from typing import Any

import pytest

from algorithms import Prompt
from models import FreshRewardModel, Policy, PolicySource
from models.reading.prompt_encoder import interleave
from rollouts import SamplingConfig
from rollouts.vllm.requests import requests_of
from tests.conftest import Picture
from tests.models.conventions import CONVENTIONS, text_policy, vision_policy

QUESTIONS = ["how many red ?", " Is 3 < 4 ?\n\nAnswer with <yes> or <no>.", "数え方 é \t 'twas", "<b>bold</b>"]


class Built(PolicySource):
    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def build(self) -> Policy:
        return self.policy


@pytest.fixture(params=CONVENTIONS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def as_transformers_does(renderer: Any, messages: list[Any], **settings: Any) -> list[int]:
    """Return the tokens of ``apply_chat_template`` of transformers."""
    ids = renderer.apply_chat_template(messages, tokenize=True, return_dict=True, **settings)["input_ids"]
    return list(ids[0]) if isinstance(ids[0], list) else list(ids)


def prompt(question: str, **fields: Any) -> Prompt:
    return Prompt(uid=0, key="0", question=question, **fields)


def test_a_prompt_has_the_tokens_of_apply_chat_template(name: str) -> None:
    text, vision = text_policy(name).encoder, vision_policy(name).encoder
    for question in QUESTIONS:
        messages = [{"role": "user", "content": question}]
        expected = as_transformers_does(text.tokenizer, messages, add_generation_prompt=True)
        assert text.encode(prompt(question)).token_ids.tolist() == expected
        messages = [{"role": "user", "content": interleave(prompt(question))}]
        expected = as_transformers_does(vision.processor, messages, add_generation_prompt=True)
        assert vision.encode(prompt(question)).token_ids.tolist() == expected


def test_a_prompt_with_images_has_the_tokens_of_the_processor(name: str) -> None:
    encoder = vision_policy(name).encoder
    red, blue = Picture((255, 0, 0)), Picture((0, 0, 255))
    asked = prompt("is <image>\n redder than <image> ?", images=(red, blue))
    ids = encoder.processor(
        text=[encoder.chat_text(asked)], images=[red.load(), blue.load()], add_special_tokens=False
    )["input_ids"][0]
    assert encoder.encode(asked).token_ids.tolist() == list(ids)


def test_a_text_starts_once(name: str) -> None:
    bos = CONVENTIONS[name].bos
    for policy in (text_policy(name), vision_policy(name)):
        start = policy.encoder.tokenizer.bos_token_id
        model = FreshRewardModel(Built(policy)).build()
        (request,) = requests_of(policy, [prompt("how many ?")], SamplingConfig(), seed=0)
        (completion,) = policy.encoder.completion_ids(["two"], [True])
        for ids, count in (
            (policy.encoder.encode(prompt("how many ?")).token_ids.tolist(), int(bos is not None)),
            (model.token_ids(prompt("how many ?"), "two").tolist(), int(bos is not None)),
            (request.prompt_ids, int(bos is not None)),
            (completion.tolist(), 0),
        ):
            assert ids.count(start) == count


def test_a_tokenizer_that_starts_a_text_does_so_where_the_template_does_not() -> None:
    # LLaVA 1.5: the template writes no start, and transformers' processor adds it.
    template = CONVENTIONS["llama3"].template.replace("{{- bos_token -}}", "")
    policy = vision_policy("llama3", template=template)
    ids = policy.encoder.encode(prompt("how many ?")).token_ids.tolist()
    messages = [{"role": "user", "content": interleave(prompt("how many ?"))}]
    assert ids == as_transformers_does(policy.processor, messages, add_generation_prompt=True)
    assert ids.count(policy.encoder.tokenizer.bos_token_id) == 1


def test_a_scored_conversation_has_the_tokens_of_apply_chat_template(name: str) -> None:
    policy = text_policy(name)
    model = FreshRewardModel(Built(policy)).build()
    for question in QUESTIONS:
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "it is <b>two</b>"}]
        expected = as_transformers_does(policy.encoder.tokenizer, messages)
        assert model.token_ids(prompt(question), "it is <b>two</b>").tolist() == expected
