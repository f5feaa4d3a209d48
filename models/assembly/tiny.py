"""The tiny policy's parts: a word-level tokenizer, a Qwen2 language model and a SigLIP tower, all fresh.

Real ``transformers`` classes with about a million parameters, so that the whole recipe runs on a laptop on the same
code path as a large model. The sizes were chosen by measurement, see docs/experiments.md.
"""

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

PAD, UNKNOWN, TURN_START, TURN_END, IMAGE = "<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "<image>"
THINK, END_THINK = "<think>", "</think>"

# ChatML as Qwen writes it. As with QwQ, the generation prompt opens the reasoning, so that completions
# carry no opening tag.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of one token per word between spaces, with chat template and special tokens."""
    vocabulary = list(dict.fromkeys([PAD, UNKNOWN, TURN_START, TURN_END, IMAGE, THINK, END_THINK, *words]))
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    # The reasoning tags are text of the completion, so they are tokens but not special ones.
    tokenizer.add_tokens([THINK, END_THINK])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=TURN_END,
        extra_special_tokens={"turn_start_token": TURN_START, "image_token": IMAGE},
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def fresh_language_model(
    vocabulary_size: int, *, hidden_size: int, num_layers: int, eos: int, pad: int
) -> Qwen2ForCausalLM:
    """Return a randomly initialised Qwen2 with tied embeddings."""
    config = Qwen2Config(
        vocab_size=vocabulary_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=max(1, hidden_size // 32),
        num_key_value_heads=max(1, hidden_size // 64),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=eos,
        pad_token_id=pad,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config)


def fresh_vision_tower(
    *, image_size: int, patch_size: int, hidden_size: int, num_layers: int, attn_implementation: str | None = None
) -> tuple[SiglipVisionModel, SiglipImageProcessorPil]:
    """Return a randomly initialised SigLIP tower, one output per patch, and its image processor."""
    make_config: Any = SiglipVisionConfig  # annotated with less than it accepts
    config = make_config(
        image_size=image_size,
        patch_size=patch_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=max(1, hidden_size // 32),
        vision_use_head=False,
    )
    size = {"height": image_size, "width": image_size}
    processor: Any = SiglipImageProcessorPil(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    # LlavaProcessor counts image tokens from the crop size, without opening the image.
    processor.crop_size = size
    tower = SiglipVisionModel(config)
    if attn_implementation is not None:
        tower.set_attn_implementation(attn_implementation)
    return tower, processor
