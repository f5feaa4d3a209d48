from typing import Any

import pytest
import torch

from algorithms import Prompt
from models import Policy
from models.reading.prompt_encoder import PromptEncoder


class CountingProcessor:
    """Another processor, and how many texts each call brought."""

    def __init__(self, processor: Any, *, rows_per_image: int = 1) -> None:
        self.processor, self.rows_per_image = processor, rows_per_image
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processor, name)

    def __call__(self, text: list[str], images: list[Any], **kwargs: Any) -> Any:
        self.calls.append(len(text))
        inputs = self.processor(text=text, images=images, **kwargs)
        if self.rows_per_image > 1 and len(text) > 1:
            inputs["pixel_values"] = inputs["pixel_values"].repeat(self.rows_per_image, 1, 1, 1)
        return inputs


def assert_equal(together: PromptEncoder, alone: PromptEncoder, prompts: list[Prompt]) -> None:
    for encoded, prompt in zip(together.encode_all(prompts), prompts, strict=True):
        expected = alone.encode(prompt)
        assert torch.equal(encoded.token_ids, expected.token_ids)
        assert encoded.vision.keys() == expected.vision.keys()
        assert all(torch.equal(encoded.vision[key], expected.vision[key]) for key in expected.vision)


@pytest.mark.parametrize("family", ["policy", "qwen_vl_policy"])
def test_prompts_encoded_together_are_as_if_encoded_alone(family: str, prompts: list[Prompt], request) -> None:
    policy: Policy = request.getfixturevalue(family)
    text_only = Prompt(uid=9, key="9", question="how many ?")
    assert_equal(PromptEncoder(policy.processor), PromptEncoder(policy.processor), [*prompts, text_only, prompts[0]])


def test_new_pictures_go_through_the_processor_together_and_once(policy: Policy, prompts: list[Prompt]) -> None:
    processor = CountingProcessor(policy.processor)
    encoder = PromptEncoder(processor)
    encoder.encode_all([*prompts, prompts[0]])
    encoder.encode_all(prompts)
    assert processor.calls == [1, 2]


def test_a_processor_that_tiles_pictures_gets_them_one_by_one(policy: Policy, prompts: list[Prompt]) -> None:
    tiling = CountingProcessor(policy.processor, rows_per_image=2)
    assert_equal(PromptEncoder(tiling), PromptEncoder(policy.processor), prompts)
    assert tiling.calls == [1, 2, 1, 1]


def test_a_memory_too_small_for_a_batch_still_encodes_all_of_it(policy: Policy, prompts: list[Prompt]) -> None:
    assert_equal(PromptEncoder(policy.processor, cache_megabytes=0), PromptEncoder(policy.processor), prompts)
