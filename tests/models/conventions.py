"""Tokenizers on bytes with the special tokens and chat templates of well-known families, and small policies of them.

Byte-level, so that every text can be spelled and nothing is unknown.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import AddedToken, PreTrainedTokenizerFast

from models import Policy, Tiling
from models.assembly import assemble
from models.assembly.tiny import fresh_language_model, fresh_vision_tower
from tests.models.families import clip_images, intern_vit, qwen3

CONTENT = (
    "{%- if message.content is string -%}{%- set text = message.content -%}{%- else -%}"
    "{%- set parts = namespace(text='') -%}{%- for part in message.content -%}"
    "{%- set parts.text = parts.text + ('IMAGE' if part.type == 'image' else part.text) -%}{%- endfor -%}"
    "{%- set text = parts.text -%}{%- endif -%}"
)
CHATML_TEMPLATE = (
    "{%- for message in messages -%}" + CONTENT + "{{- '<|im_start|>' + message.role + '\n' + text + '<|im_end|>\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
LLAMA3_TEMPLATE = (
    "{{- bos_token -}}{%- for message in messages -%}" + CONTENT + "{{- '<|start_header_id|>' + message.role + "
    "'<|end_header_id|>\n\n' + text | trim + '<|eot_id|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}"
)
R1_BOS, R1_EOS = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"
R1_USER, R1_ASSISTANT = "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"
# DeepSeek-R1-Distill: no token closes the user's turn, and only what follows </think> is kept of an answer.
R1_TEMPLATE = (
    (
        "{{- bos_token -}}{%- for message in messages -%}" + CONTENT + "{%- if message.role == 'user' -%}"
        "{{- 'USER' + text -}}{%- else -%}{{- 'ASSISTANT' + text.split('</think>')[-1] + eos_token -}}{%- endif -%}"
        "{%- endfor -%}{%- if add_generation_prompt -%}{{- 'ASSISTANT<think>\n' -}}{%- endif -%}"
    )
    .replace("USER", R1_USER)
    .replace("ASSISTANT", R1_ASSISTANT)
)


class Convention(NamedTuple):
    special: Sequence[str]
    added: Sequence[str]
    """Tokens that the tokenizer does not call special."""

    template: str
    eos: str
    pad: str
    bos: str | None = None
    """With one, the tokenizer writes it before every text."""

    image: str = "<image>"
    closing: str = "<|im_end|>"
    listed_ends: Sequence[str] = ()
    """In generation_config.json."""


_QWEN = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|box_start|>", "<|box_end|>", "<|vision_start|>",
         "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]  # fmt: skip
_TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<answer>", "</answer>"]
CONVENTIONS = {
    "chatml": Convention(
        _QWEN, _TAGS, CHATML_TEMPLATE, eos="<|endoftext|>", pad="<|endoftext|>", image="<|image_pad|>",
        listed_ends=("<|im_end|>", "<|endoftext|>"),
    ),
    "llama3": Convention(
        ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>",
         "<|python_tag|>", "<|reserved_special_token_0|>", "<image>", "<|pad|>"],
        [], LLAMA3_TEMPLATE, eos="<|end_of_text|>", pad="<|pad|>", bos="<|begin_of_text|>", closing="<|eot_id|>",
        listed_ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
    ),
    "internvl": Convention(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>", "<quad>",
         "</quad>", "<ref>", "</ref>", "<box>", "</box>"],
        _TAGS, CHATML_TEMPLATE, eos="<|im_end|>", pad="<|endoftext|>", image="<IMG_CONTEXT>",
    ),
    "r1": Convention(
        [R1_BOS, R1_EOS, "<image>"], [R1_USER, R1_ASSISTANT, *_TAGS], R1_TEMPLATE, eos=R1_EOS, pad=R1_EOS, bos=R1_BOS,
        closing=R1_EOS,
    ),
}  # fmt: skip


def tokenizer_of(convention: Convention) -> Any:
    """Return a tokenizer of bytes with the convention's tokens and template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in convention.special])
    core.add_tokens([AddedToken(text, special=False, normalized=False) for text in convention.added])
    if convention.bos:
        bos_id = core.token_to_id(convention.bos)
        core.post_processor = processors.TemplateProcessing(
            single=f"{convention.bos}:0 $A:0", pair="$A:0 $B:1", special_tokens=[(convention.bos, bos_id)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=convention.bos,
        eos_token=convention.eos,
        pad_token=convention.pad,
        chat_template=convention.template.replace("IMAGE", convention.image),
        clean_up_tokenization_spaces=False,
    )


def text_policy(name: str, **changes: Any) -> Policy:
    """Return a small random language model with the tokens of a convention."""
    convention = CONVENTIONS[name]._replace(**changes)
    tokenizer = tokenizer_of(convention)
    return Policy(_language_model(convention, tokenizer), tokenizer)


def vision_policy(name: str, **changes: Any) -> Policy:
    """Return the same joined with a vision tower: InternViT for InternVL's tokens, else SigLIP."""
    convention = CONVENTIONS[name]._replace(**changes)
    tokenizer = tokenizer_of(convention)
    if name == "internvl":
        torch.manual_seed(0)
        model = qwen3(tokenizer)
        return Policy(*assemble(intern_vit(), clip_images(), model, tokenizer, Tiling(max_patches=4)))
    tower = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    return Policy(*assemble(*tower, _language_model(convention, tokenizer), tokenizer))


def _language_model(convention: Convention, tokenizer: Any) -> Any:
    torch.manual_seed(0)
    model: Any = fresh_language_model(
        len(tokenizer), hidden_size=32, num_layers=1, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id
    )
    if convention.listed_ends:
        model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(convention.listed_ends))
    return model
