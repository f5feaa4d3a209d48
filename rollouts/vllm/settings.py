"""What vLLM engines are told, and what goes in and out of them, in plain data that travels over HTTP too.

Prompt -> SampleRequest -> vLLM -> Sample -> Completion
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import torch
from PIL import Image

from algorithms import Completion, ConfigError, FinishReason, Prompt, position_seed
from rollouts.engine import EngineError, SamplingConfig


@dataclass(frozen=True, kw_only=True)
class VLLMSettings:
    """How vLLM runs the policy; docs/scaling.md says what to choose when."""

    max_model_len: int = 4096
    """Longest prompt, image tokens expanded, plus completion, in tokens; at most what the model was made for."""

    max_rows: int = 256
    """Completions sampled side by side at most (vLLM: ``max_num_seqs``)."""

    max_images: int = 1
    """Images of one prompt at most."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of weights and cache; auto: the policy's own."""

    model_impl: Literal["transformers", "auto", "vllm"] = "transformers"
    """Whose model code runs; ``transformers`` takes every model that the learner takes, under the same names."""

    eager: bool = True
    """Run without compilation and CUDA graphs; false is faster on GPUs and takes minutes to start."""

    gpu_memory_utilization: float = 0.4
    """Share of a GPU's memory that vLLM may take, in (0, 1]; the learner needs the rest."""

    cache_megabytes: int | None = None
    """Size of the key-value cache in MiB; null: whatever ``gpu_memory_utilization`` leaves, on a CPU 256."""

    tensor_parallel_size: int = 1
    """GPUs that one copy of the model is spread over."""

    engine_args: dict[str, Any] = field(default_factory=dict[str, Any])
    """Any further arguments of ``vllm.LLM``, as they are."""

    def __post_init__(self) -> None:
        for key in ("max_model_len", "max_rows", "max_images", "tensor_parallel_size"):
            if getattr(self, key) < 1:
                raise ConfigError(f"model.engine.settings.{key} must be at least 1, got {getattr(self, key)}.")
        if not 0.0 < self.gpu_memory_utilization <= 1.0:
            raise ConfigError(
                f"model.engine.settings.gpu_memory_utilization must lie in (0, 1], got {self.gpu_memory_utilization}: "
                "it is a share of the GPU's memory."
            )


_HOTTEST = 2.0


class SampleRequest(NamedTuple):
    """One prompt and how its group is sampled."""

    text: str
    """Chat-formatted, one image token per image, not yet expanded."""

    images: list[Image.Image]
    num_samples: int
    temperature: float
    max_new_tokens: int
    stop_token_id: int
    seed: int


class Sample(NamedTuple):
    """One completion as vLLM gives it."""

    token_ids: list[int]
    logps: list[float]
    finish_reason: FinishReason


class SampledGroup(NamedTuple):
    """The completions of one request."""

    prompt_token_ids: list[int]
    """What the model read, image tokens expanded."""

    samples: list[Sample]


class PolicyFiles(NamedTuple):
    """What vLLM must know of a policy, besides its weights."""

    files: dict[str, bytes]
    """Config and processor, as ``save_pretrained`` writes them, by file name."""

    banned_token_ids: list[int]
    dtype: str
    max_positions: int
    """Longest text that the language model was made for, in tokens."""


def policy_files(policy: Any) -> PolicyFiles:
    """Return what vLLM needs to build a copy of the policy, before it gets the weights."""
    model = policy.model
    config = copy.deepcopy(model.config)
    # Without it vLLM takes a model for one that generates nothing. Sharding puts a class of its own in front.
    config.architectures = [next(c.__name__ for c in type(model).__mro__ if not c.__name__.startswith("FSDP"))]
    with TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        policy.processor.save_pretrained(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    dtype = str(model.dtype).removeprefix("torch.")
    return PolicyFiles(files, policy.banned_token_ids.tolist(), dtype, config.get_text_config().max_position_embeddings)


def requests_of(
    policy: Any, prompts: Sequence[Prompt], *, group_size: int, sampling: SamplingConfig, seed: int
) -> list[SampleRequest]:
    """Return one request per prompt, seeded by its place.

    Raises:
        ConfigError: for a temperature that vLLM refuses.
    """
    if sampling.temperature > _HOTTEST:
        raise ConfigError(
            f"model.sampling.temperature must be at most {_HOTTEST:g} with vLLM, got {sampling.temperature}."
        )
    # Greedy completions of one prompt are all the same, and vLLM refuses to make several.
    num_samples = group_size if sampling.temperature > 0.0 else 1
    return [
        SampleRequest(
            text=policy.encoder.chat_text(prompt),
            images=[image.load() for image in prompt.images],
            num_samples=num_samples,
            temperature=sampling.temperature,
            max_new_tokens=sampling.max_new_tokens,
            stop_token_id=policy.end_token_id,
            # vLLM adds the number of the sample to it; halved, because it takes 64 bits with a sign.
            seed=position_seed(seed, "sampling", place) % 2**62,
        )
        for place, prompt in enumerate(prompts)
    ]


def completions_of(
    policy: Any, prompts: Sequence[Prompt], groups: Sequence[SampledGroup], *, group_size: int
) -> list[list[Completion]]:
    """Return completions as the learner takes them.

    Raises:
        EngineError: when vLLM read other tokens than the learner will: nothing learnt from them would be right.
    """
    found: list[list[Completion]] = []
    for prompt, group in zip(prompts, groups, strict=True):
        expected = policy.encoder.encode(prompt).token_ids.tolist()
        if group.prompt_token_ids != expected:
            raise EngineError(
                f"vLLM read {len(group.prompt_token_ids)} tokens of prompt {prompt.key} and the learner reads "
                f"{len(expected)}, or others: their processors differ."
            )
        decode = policy.encoder.tokenizer.decode
        completions = [_completion(sample, policy.end_token_id, decode) for sample in group.samples]
        found.append(completions if len(completions) == group_size else completions * group_size)
    return found


def _completion(sample: Sample, end_token_id: int, decode: Callable[[list[int]], str]) -> Completion:
    has_ended = sample.token_ids[-1:] == [end_token_id]
    return Completion(
        token_ids=torch.tensor(sample.token_ids, dtype=torch.long),
        behavior_logps=torch.tensor(sample.logps, dtype=torch.float32),
        text=decode(sample.token_ids[:-1] if has_ended else sample.token_ids),
        finish_reason="stop" if has_ended else "length",
    )
