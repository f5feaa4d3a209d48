"""Packed prompts and completions give what each completion alone gives, for every kind of attention and of learning."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)

from algorithms import ConfigError, PreferencePair, Prompt
from datamodules.shapes.language import WORDS
from lightning_modules.pair_logps import pair_logps
from models import Policy
from models.assembly.tiny import word_tokenizer
from tests.models.families import FAMILIES, Stripes, family
from tests.models.per_sample import assert_same, gradients, per_sample_logps

QUESTIONS = ["how many red ?", "how many more red circle than blue circle or green circle ?"]
PROMPTS = [Prompt(uid=i, key=str(i), question=question) for i, question in enumerate(QUESTIONS)]
IDS = torch.randint(10, 40, (5, 9), generator=torch.Generator().manual_seed(0))
ROWS = torch.tensor([1, 0, 0, 1, 1])
IS_COMPLETION = torch.arange(9)[None, :] < torch.tensor([9, 2, 1, 4, 8])[:, None]
SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "bos_token_id": None, "max_position_embeddings": 128,
}  # fmt: skip
# A window is shorter than the texts, and a cap below most scores.
SLIDING = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}
CONFIGS: dict[str, Any] = {
    "sliding windows": (MistralConfig, {"sliding_window": 6}),
    "some windows": (Qwen2Config, {**SLIDING, "use_sliding_window": True, "max_window_layers": 1}),
    "capped scores": (Gemma2Config, {**SLIDING, "attn_logit_softcapping": 1.5, "query_pre_attn_scalar": 16}),
    "two rotations": (Gemma3TextConfig, {**SLIDING, "query_pre_attn_scalar": 16}),
    "sinks": (GptOssConfig, {**SLIDING, "num_local_experts": 2, "num_experts_per_tok": 1}),
}


def text_policy(config_class: Any, chosen: str | None = None, **settings: Any) -> tuple[Policy, Any]:
    """Return a small policy with sharp weights, and the same model with the attention that every class writes out."""
    tokenizer: Any = word_tokenizer(WORDS)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = config_class(**SIZES, vocab_size=len(tokenizer), **ends, **settings)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, **({"attn_implementation": chosen} if chosen else {}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(6.0) if parameter.ndim > 1 else None
            parameter.normal_() if "sinks" in name else None
    # The choice is kept in the config, which a model does not copy.
    plain = AutoModelForCausalLM.from_config(deepcopy(config), attn_implementation="eager")
    plain.load_state_dict(model.state_dict())
    return Policy(model, tokenizer), plain.eval()


def check_against_its_own_forward(policy: Policy, plain: Any) -> None:
    theirs = per_sample_logps(policy, PROMPTS, ROWS, IDS, IS_COMPLETION, 0.8, plain)
    expected = gradients(plain, theirs)
    policy.train()
    ours = policy.completion_scores(PROMPTS, ROWS, IDS, IS_COMPLETION, temperature=0.8).logps
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-4)
    assert_same(gradients(policy.model, ours), expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_attention_reads_packed_rows(name: str) -> None:
    config_class, settings = CONFIGS[name]
    policy, plain = text_policy(config_class, **settings)
    policy.recompute_activations()
    check_against_its_own_forward(policy, plain)


def test_another_choice_of_attention_reads_packed_rows_too_and_stays_the_choice_elsewhere() -> None:
    policy, plain = text_policy(LlamaConfig, "eager")
    check_against_its_own_forward(policy, plain)
    inputs = policy.prompt_inputs(PROMPTS)
    out = policy.model(**inputs, output_attentions=True)
    assert len(out.attentions) == 2 and all(weights is not None for weights in out.attentions)  # noqa: PT018


def test_exported_settings_do_not_name_this_attention(tmp_path: Path) -> None:
    policy, _ = text_policy(LlamaConfig)
    assert policy.model.get_decoder().config._attn_implementation == "packed_sdpa"
    policy.model.save_pretrained(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()


def test_a_model_with_attention_of_its_own_is_refused() -> None:
    tokenizer = word_tokenizer(WORDS)
    make: Any = BloomConfig
    model = AutoModelForCausalLM.from_config(make(hidden_size=32, n_layer=1, n_head=2, vocab_size=len(tokenizer)))
    with pytest.raises(ConfigError, match=r"^model\.policy has a language model of class Bloom"):
        Policy(model, tokenizer)


def test_layers_that_pass_by_the_tree_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, _ = text_policy(LlamaConfig)
    layer: Any = policy.model.model.layers[1].self_attn
    monkeypatch.setattr(layer, "forward", lambda hidden_states, **kwargs: (hidden_states, None))
    with pytest.raises(ConfigError, match=r"1 of 2 layers use the attention interface"):
        policy.completion_scores(PROMPTS, ROWS, IDS, IS_COMPLETION)


def test_a_mask_that_is_more_than_causal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, _ = text_policy(LlamaConfig)
    monkeypatch.setattr(policy.model.model.config, "is_causal", False, raising=False)
    with pytest.raises(ConfigError, match="mask is more than causal"):
        policy.completion_scores(PROMPTS, ROWS, IDS, IS_COMPLETION)


def test_every_token_is_read_once_and_no_padding() -> None:
    policy, _ = text_policy(LlamaConfig)
    read: list[int] = []
    policy.model.model.layers[0].mlp.register_forward_pre_hook(lambda module, args: read.append(args[0].shape[:2]))
    policy.completion_scores(PROMPTS, ROWS, IDS, IS_COMPLETION)
    prompts = sum(len(policy.encoder.encode(prompt).token_ids) for prompt in PROMPTS)
    assert read == [(1, prompts + int((IS_COMPLETION.sum(1) - 1).sum()))]


def pictured() -> list[Prompt]:
    images = [(Stripes(96, 48, 5),), (Stripes(48, 48, 3),)]
    return [Prompt(uid=i, key=str(i), question=QUESTIONS[i], images=images[i]) for i in range(2)]


def test_in_bfloat16_the_gradient_is_as_close_to_that_of_32_bits_as_each_rows_alone() -> None:
    policy = family("siglip_llava")
    policy.set_trainable(["adapter", "language_model"])
    policy.recompute_activations()
    policy.train()

    def away(read: Any) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            rounded = gradients(policy, read())
        exact = gradients(policy, read())
        flat, whole = (torch.cat([g.flatten() for g in some.values()]) for some in (rounded, exact))
        return float((flat - whole).norm() / whole.norm())

    alone = away(lambda: per_sample_logps(policy, pictured(), ROWS, IDS, IS_COMPLETION, 1.0))
    packed = away(lambda: policy.completion_scores(pictured(), ROWS, IDS, IS_COMPLETION).logps)
    assert 1e-4 < packed < 1.5 * alone


@pytest.mark.parametrize("name", FAMILIES)
def test_pairs_share_their_prompt_and_have_the_gradient_of_each_completion_alone(name: str) -> None:
    policy = family(name)
    policy.set_trainable(["adapter", "language_model"])
    prompts, texts = pictured(), ["red : 2", "blue circle", "how many red 3", "2"]
    pairs = [
        PreferencePair(uid=0, prompt=prompts[0], chosen=texts[0], rejected=texts[1]),
        PreferencePair(uid=1, prompt=prompts[1], chosen=texts[2], rejected=texts[3]),
    ]
    ids = nn.utils.rnn.pad_sequence(policy.encoder.completion_ids(texts, [True] * 4), batch_first=True)
    lengths = torch.tensor([len(one) for one in policy.encoder.completion_ids(texts, [True] * 4)])
    is_completion = torch.arange(ids.shape[1]) < lengths[:, None]
    theirs = per_sample_logps(policy, prompts, torch.tensor([0, 0, 1, 1]), ids, is_completion, 1.0).sum(1).view(2, 2)
    expected = gradients(policy, theirs)
    policy.recompute_activations()
    policy.train()
    ours = pair_logps(policy, pairs, pairs_per_forward=1).logps
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-4)
    assert_same(gradients(policy, ours), expected)
