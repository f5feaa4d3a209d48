r"""Small random models of the classes that the recipes name, with the files, tokens and templates of the real ones.

    Qwen2.5-VL-7B-Instruct, Skywork-VL-Reward-7B     Qwen2_5_VLForConditionalGeneration, ChatML with a system turn
    InternViT-6B-448px-V2.5                          InternVLVisionModel with RMS norms, also of queries and keys
    QwQ-32B                                          Qwen2ForCausalLM, ChatML whose generation prompt opens <think>

As on the hub, weights are bfloat16, embeddings and head are not tied, a turn ends with <|im_end|>, rows are padded with
<|endoftext|>, and generation_config.json names both as ends. A random model is never right, so the head of these
prefers a few tokens: it often closes its reasoning, writes \boxed{0} or \boxed{1}, and ends its turn.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLImageProcessorPil,
)

from models import AssembledPolicy, Tiling, save_pretrained
from models.loading.processors import image_only
from models.reward_model.value_head import save_head
from tests.models.families import intern_vit

END, PAD = "<|im_end|>", "<|endoftext|>"
SPECIAL = (PAD, "<|im_start|>", END, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
PREFERRED = ("</think>", "\\boxed{0}", "\\boxed{1}", END)
HIDDEN = 32
SIZES = {
    "hidden_size": HIDDEN, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 1024, "tie_word_embeddings": False,
}  # fmt: skip
# As Qwen2.5-VL writes a conversation.
CHAT = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As QwQ: text only, the reasoning of earlier turns is dropped, and the generation prompt opens the next one.
REASONING_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{{ message['content'].split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ '' + message['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def qwen_tokenizer(template: str) -> Any:
    """Return a byte-level tokenizer without merges, with Qwen's special tokens and some words of one token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # The reasoning tags are text of the completion, as with QwQ: tokens, but not special ones.
    words = ["<think>", *PREFERRED[:-1]]
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[token for token in SPECIAL if token not in (END, PAD)],
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def preferring(model: Any, tokenizer: Any, *, seed: int) -> Any:
    """Return the model in bfloat16, with sharp weights and a head that prefers a few tokens."""
    torch.manual_seed(seed)
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                # With default weights every image would give the same answer.
                parameter.normal_(std=0.1 if "patch" in name or "merger" in name else 0.12)
        embeddings.normal_(std=0.5)
        # The first number of every state says "text", and the head reads it as a bias.
        embeddings[:, 0] = 3.0
        head[:, 0] = 0.0
        head[tokenizer.convert_tokens_to_ids(list(PREFERRED)), 0] = 1.0
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.6, eos_token_id=tokenizer.convert_tokens_to_ids([END, PAD]),
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return model.to(torch.bfloat16)


def qwen_vl(folder: Path, *, seed: int = 0) -> Path:
    """Write a small Qwen2.5-VL."""
    tokenizer = qwen_tokenizer(CHAT)
    torch.manual_seed(seed)
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    text = {
        **SIZES, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": HIDDEN, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": HIDDEN,
        "patch_size": 8, "spatial_merge_size": 2, "fullatt_block_indexes": [1], "window_size": 32,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=ids["vision_start"], vision_end_token_id=ids["vision_end"],
    )  # fmt: skip
    preferring(Qwen2_5_VLForConditionalGeneration(config), tokenizer, seed=seed).save_pretrained(folder)
    make_images: Any = Qwen2VLImageProcessorPil
    images = make_images(patch_size=8, merge_size=2, size={"shortest_edge": 48 * 48, "longest_edge": 48 * 96})
    processor: Any = image_only(Qwen2_5_VLProcessor)
    processor(image_processor=images, tokenizer=tokenizer, chat_template=CHAT).save_pretrained(folder)
    return folder


def skywork_reward(folder: Path) -> Path:
    """Write a small Skywork-VL-Reward: a Qwen2.5-VL under a head whose scores differ by tens, as published ones do."""
    qwen_vl(folder, seed=1)
    torch.manual_seed(2)
    head = nn.Linear(HIDDEN, 1)
    with torch.no_grad():
        head.weight.normal_(std=6.0)
    save_head(head, str(folder), is_writer=True)
    return folder


def intern_vit_folder(folder: Path) -> Path:
    """Write a small InternViT with its image processor."""
    torch.manual_seed(3)
    tower = intern_vit()
    with torch.no_grad():
        for parameter in tower.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.12)
    tower.to(torch.bfloat16).save_pretrained(folder)
    make_images: Any = CLIPImageProcessorPil
    make_images(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]).save_pretrained(folder)
    return folder


def qwq(folder: Path) -> Path:
    """Write a small QwQ with its tokenizer."""
    tokenizer = qwen_tokenizer(REASONING_CHAT)
    torch.manual_seed(4)
    make_config: Any = Qwen2Config
    config = make_config(
        **SIZES, vocab_size=len(tokenizer) + 16, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    preferring(Qwen2ForCausalLM(config), tokenizer, seed=4).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def r1v2_export(folder: Path, parts: Path) -> Path:
    """Write the small tower and language model joined, as configs/r1v2/align.yaml leaves them."""
    torch.manual_seed(5)
    source = AssembledPolicy(
        str(intern_vit_folder(parts / "InternViT")), str(qwq(parts / "QwQ")), Tiling(max_patches=12), dtype="bfloat16"
    )
    save_pretrained(source.build(), str(folder))
    return folder
