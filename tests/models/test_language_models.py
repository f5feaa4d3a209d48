"""The language models that are tried: what stands between head and logits is in every number, alone and joined."""

import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PhiConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3NextConfig,
    T5Config,
)

from algorithms import ConfigError, Prompt
from datamodules.shapes.language import WORDS
from models import Policy, PretrainedPolicy, save_pretrained
from models.assembly import assemble
from models.assembly.tiny import fresh_vision_tower, word_tokenizer
from models.families import TRIED_LANGUAGE_MODELS, family_of_config
from models.loading.shards import read_into_shards, skeleton
from models.reading.prompt_encoder import right_pad
from rollouts import SamplingConfig, TransformersEngine
from tests.models.families import clip_images, intern_vit

CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "cohere": (CohereConfig, {"logit_scale": 0.3}),
    "gemma2": (
        Gemma2Config,
        {
            "final_logit_softcapping": 4.0,
            "attn_logit_softcapping": 0.5,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
        },
    ),
    "granite": (GraniteConfig, {"logits_scaling": 5.0, "tie_word_embeddings": False}),
    "llama": (LlamaConfig, {}),
    "phi": (PhiConfig, {"partial_rotary_factor": 0.5}),
    "qwen2": (Qwen2Config, {}),
    "qwen3": (Qwen3Config, {"head_dim": 16}),
}
QUESTIONS = ["how many red ?", "how many more red than blue ?"]
IDS = torch.randint(10, 40, (3, 5), generator=torch.Generator().manual_seed(0))
ROWS = torch.tensor([1, 0, 0])
IS_COMPLETION = torch.arange(5)[None, :] < torch.tensor([5, 2, 4])[:, None]


def language_model(name: str, tokenizer: Any) -> Any:
    """Return a small random model with sharp weights, so that a cap or a scale is felt."""
    torch.manual_seed(0)
    config_class, settings = CONFIGS[name]
    config = config_class(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        vocab_size=len(tokenizer), max_position_embeddings=128, bos_token_id=None, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, **settings,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6.0)
        bias = getattr(model.get_output_embeddings(), "bias", None)
        if bias is not None:
            bias.normal_(std=2.0)
    return model.eval()


def joined(name: str, tower: str = "siglip") -> tuple[Policy, Any]:
    """Return the policy of a tower and a language model, and the language model."""
    tokenizer = word_tokenizer(WORDS)
    model = language_model(name, tokenizer)
    parts = (
        (intern_vit(), clip_images())
        if tower == "internvl"
        else fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    )
    return Policy(*assemble(*parts, model, tokenizer)), model


def prompts() -> list[Prompt]:
    return [Prompt(uid=i, key=str(i), question=question) for i, question in enumerate(QUESTIONS)]


def own_logps(model: Any, policy: Policy, temperature: float) -> torch.Tensor:
    """Return the model's own log-probs, from its forward on each row alone."""
    rows: list[torch.Tensor] = []
    for row, prompt_index in enumerate(ROWS.tolist()):
        prompt = policy.encoder.encode(prompts()[prompt_index]).token_ids
        completion = IDS[row, IS_COMPLETION[row]]
        logits = model(input_ids=torch.cat([prompt, completion])[None]).logits[0, -len(completion) - 1 : -1]
        logits = logits.index_fill(1, policy.banned_token_ids, -torch.inf)
        rows.append((logits / temperature).log_softmax(-1).gather(1, completion[:, None])[:, 0])
    return right_pad(rows, 0)[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_learners_log_probs_are_the_models_own(name: str) -> None:
    tokenizer = word_tokenizer(WORDS)
    policy = Policy(language_model(name, tokenizer), tokenizer)
    with torch.no_grad():
        ours = policy.completion_scores(prompts(), ROWS, IDS, IS_COMPLETION, temperature=0.8).logps
        torch.testing.assert_close(ours, own_logps(policy.model, policy, 0.8), rtol=0.0, atol=1e-5)


def test_the_cap_of_attention_scores_is_in_the_learners_log_probs() -> None:
    tokenizer = word_tokenizer(WORDS)
    capped, free = (language_model("gemma2", tokenizer) for _ in range(2))
    for layer in free.model.layers:
        layer.self_attn.attn_logit_softcapping = None
    for model in (capped, free):
        model.set_attn_implementation("eager")
    ids = IDS[:1]
    with torch.no_grad():
        assert not torch.allclose(capped(input_ids=ids).logits, free(input_ids=ids).logits, atol=1e-2)
        expected = capped(input_ids=ids).logits
        capped.set_attn_implementation("sdpa")
        policy = Policy(capped, tokenizer)
        torch.testing.assert_close(policy.model(input_ids=ids).logits, expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_learners_gradient_is_that_of_the_models_own_logits(name: str) -> None:
    tokenizer = word_tokenizer(WORDS)
    policy = Policy(language_model(name, tokenizer), tokenizer)
    ours = policy.completion_scores(prompts(), ROWS, IDS, IS_COMPLETION, temperature=0.8).logps.sum()
    head: Any = policy.model.get_output_embeddings()
    theirs = own_logps(policy.model, policy, 0.8).sum()
    for one, other in zip(*(torch.autograd.grad(x, list(head.parameters())) for x in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_engine_samples_from_what_the_learner_scores(name: str) -> None:
    policy, _ = joined(name)
    engine = TransformersEngine()
    engine.sync(policy, version=0)
    groups = engine.generate(prompts(), SamplingConfig(group_size=3, max_new_tokens=8, temperature=0.7), seed=0)
    completions = [completion for group in groups for completion in group]
    ids, is_completion = right_pad([completion.token_ids for completion in completions], 0)
    behavior = right_pad([completion.behavior_logps for completion in completions], 0)[0]
    with torch.no_grad():
        rows = torch.tensor([0, 0, 0, 1, 1, 1])
        learner = policy.completion_scores(prompts(), rows, ids, is_completion, temperature=0.7).logps
    torch.testing.assert_close(learner, behavior, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("tower", ["siglip", "internvl"])
@pytest.mark.parametrize("name", ["cohere", "gemma2", "granite", "phi", "llama"])
def test_a_joined_model_says_what_its_language_model_says_and_so_does_its_export(
    name: str, tower: str, tmp_path: Path
) -> None:
    policy, model = joined(name, tower)
    model = deepcopy(model)
    # The attention that a class writes out is the only one that has all it says, such as Gemma 2's capped scores.
    model.set_attn_implementation("eager")
    save_pretrained(policy, str(tmp_path))
    again = PretrainedPolicy(str(tmp_path)).build()
    sharded = Policy(skeleton(str(tmp_path)), policy.processor)
    read_into_shards(sharded.model, str(tmp_path), torch.device("cpu"))
    ids = policy.encoder.encode(prompts()[0]).token_ids[None]
    with torch.no_grad():
        own = model(input_ids=ids).logits
        for one in (policy, again, sharded):
            torch.testing.assert_close(one.model(input_ids=ids).logits[..., : own.shape[-1]], own, rtol=0, atol=1e-5)
            scores = one.completion_scores(prompts(), ROWS, IDS, IS_COMPLETION, temperature=0.8).logps
            torch.testing.assert_close(scores, own_logps(model, one, 0.8), rtol=0.0, atol=1e-5)


def test_an_export_that_transformers_alone_reads_otherwise_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    for name, is_announced in (("gemma2", True), ("phi", True), ("granite", True), ("llama", False)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            joined(name)
        assert ("transformers alone leaves them out" in caplog.text) == is_announced


def test_a_model_that_does_more_behind_its_head_is_refused() -> None:
    class Louder(Qwen2ForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out: Any = super().forward(*args, **kwargs)
            out.logits = out.logits * 1.5
            return out

    tokenizer = word_tokenizer(WORDS)
    with pytest.raises(ConfigError, match=r"^model\.policy is a Louder, whose logits are not those of its head"):
        Policy(Louder(language_model("qwen2", tokenizer).config), tokenizer)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (MambaConfig(), "keep a state in place of keys and values"),
        (Qwen3NextConfig(), r"\(linear_attention\)"),
        (T5Config(), "an encoder with a decoder"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_a_language_model_whose_prompts_cannot_be_shared_is_refused(config: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\.policy is .*{config.model_type}.*{words}"):
        family_of_config(config)


def test_an_untried_language_model_is_admitted_with_a_sentence_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = word_tokenizer(WORDS)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    make: Any = MistralConfig
    config = make(**sizes, num_key_value_heads=1, vocab_size=len(tokenizer), bos_token_id=None, pad_token_id=0)
    with caplog.at_level(logging.WARNING):
        Policy(AutoModelForCausalLM.from_config(config), tokenizer)
        assert "'mistral' are untried here; tried are cohere, gemma2" in caplog.text
        caplog.clear()
        Policy(language_model("llama", tokenizer), tokenizer)
        assert not caplog.text


def test_every_language_model_that_is_called_tried_is_tried_here() -> None:
    assert set(CONFIGS) == set(TRIED_LANGUAGE_MODELS)
