"""The requests to vLLM and its results, as plain data that can be sent to a server.

Prompt -> SampleRequest -> vLLM -> SampledGroup -> Completion
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from PIL import Image

from algorithms import Completion, ConfigError, Prompt, position_seed
from rollouts.completions import completions_of_tokens
from rollouts.engine import EngineError, SamplingConfig
from rollouts.policy_view import SampledPolicy

# vLLM refuses higher temperatures.
_MAX_TEMPERATURE = 2.0


class SampleRequest(NamedTuple):
    """One prompt and how its group is sampled."""

    prompt_ids: list[int]
    """Chat-formatted tokens, with one token for each image. Tokens and not text: in a text vLLM would find control
    tokens, and it would add a second start-of-text token."""

    images: list[Image.Image]
    sampling: SamplingConfig
    stop_token_ids: list[int]
    seed: int
    """In [0, 2^62)."""


class SampledGroup(NamedTuple):
    """The completions of one request."""

    prompt_token_ids: list[int]
    """Tokens that the model read, image tokens expanded."""

    token_ids: list[list[int]]
    """Sampled tokens of each completion."""

    logps: list[list[float]]
    """Their log-probabilities in nats, as sampled: after banning tokens and dividing by the temperature."""


def requests_of(
    policy: SampledPolicy, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int
) -> list[SampleRequest]:
    """Return one request per prompt, seeded by the prompt's place.

    Raises:
        ConfigError: for a temperature that vLLM refuses.
    """
    if sampling.temperature > _MAX_TEMPERATURE:
        raise ConfigError(
            f"model.sampling.temperature must be at most {_MAX_TEMPERATURE:g} with vLLM, got {sampling.temperature}."
        )
    # Greedy completions of one prompt are all the same, and vLLM refuses to make several.
    requested = sampling if sampling.temperature > 0.0 else replace(sampling, group_size=1)
    return [
        SampleRequest(
            prompt_ids=policy.encoder.chat_ids(prompt),
            images=[image.load() for image in prompt.images],
            sampling=requested,
            stop_token_ids=list(policy.end_token_ids),
            # vLLM adds the number of the completion to the seed. Halved, because vLLM's seeds are signed 64-bit
            # integers.
            seed=position_seed(seed, "sampling", place) % 2**62,
        )
        for place, prompt in enumerate(prompts)
    ]


def completions_of(
    policy: SampledPolicy, prompts: Sequence[Prompt], groups: Sequence[SampledGroup], *, group_size: int
) -> list[list[Completion]]:
    """Return ``group_size`` completions for each prompt; the one greedy completion of a prompt is repeated.

    Raises:
        EngineError: when vLLM read other prompt tokens than the learner will: its log-probabilities would belong to
            another prompt.
    """
    return [_completions(policy, prompt, group, group_size) for prompt, group in zip(prompts, groups, strict=True)]


def _completions(policy: SampledPolicy, prompt: Prompt, group: SampledGroup, group_size: int) -> list[Completion]:
    expected = policy.encoder.encode(prompt).token_ids.tolist()
    if group.prompt_token_ids != expected:
        raise EngineError(
            f"vLLM read {len(group.prompt_token_ids)} tokens of prompt {prompt.key} and the learner reads "
            f"{len(expected)}, or other tokens: their processors differ."
        )
    token_ids = [torch.tensor(ids, dtype=torch.long) for ids in group.token_ids]
    logps = [torch.tensor(row, dtype=torch.float32) for row in group.logps]
    completions = completions_of_tokens(policy, token_ids, logps)
    return completions if len(completions) == group_size else completions * group_size
