"""Published models as shapes: built on the meta device, where a 38B model takes no memory and a second.

Sizes are those of each model's config.json on the hub, under the name given with it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
)

from models.parts import part_modules

# OpenGVLab/InternViT-6B-448px-V2_5
INTERN_VIT_6B = {
    "hidden_size": 3200, "intermediate_size": 12800, "num_hidden_layers": 45, "num_attention_heads": 25,
    "image_size": 448, "patch_size": 14, "use_qk_norm": True, "norm_type": "rms_norm", "attention_bias": False,
}  # fmt: skip
# Qwen/QwQ-32B
QWQ_32B = {
    "hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64, "num_attention_heads": 40,
    "num_key_value_heads": 8, "vocab_size": 152064, "tie_word_embeddings": False,
}  # fmt: skip
# Qwen/Qwen2.5-VL-7B-Instruct and Qwen/Qwen2.5-VL-3B-Instruct
QWEN_VL_VISION = {
    "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
    "fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112,
}  # fmt: skip
QWEN_VL_7B = {
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
}  # fmt: skip
QWEN_VL_3B = {
    "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
    "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """What memory depends on; parameters are counted once where they are tied."""

    name: str
    vision_tower: int
    adapter: int
    language_model: int
    largest_block: int
    """Parameters of the largest block that is gathered at a time under FSDP."""

    root: int
    """Parameters in no block (embeddings, head, final norm, adapter), gathered for the whole of a step."""

    lora_widths: int
    """Sum of inputs + outputs over the language model's linear layers, head left out: LoRA has rank x this."""

    num_layers: int
    hidden: int
    intermediate: int
    key_value_width: int
    """Key heads x width of a head."""

    @property
    def total(self) -> int:
        """Parameters of the whole model."""
        return self.vision_tower + self.adapter + self.language_model


def r1v2_38b() -> Shapes:
    """InternViT-6B and QwQ-32B joined as in the paper."""
    make_vision: Any = InternVLVisionConfig
    make_text: Any = Qwen2Config
    make_config: Any = InternVLConfig
    config = make_config(
        vision_config=make_vision(**INTERN_VIT_6B), text_config=make_text(**QWQ_32B), tie_word_embeddings=False
    )
    return _shapes("InternViT-6B + QwQ-32B", InternVLForConditionalGeneration, config)


def qwen2_5_vl(name: str, text: dict[str, Any]) -> Shapes:
    """Return a Qwen2.5-VL of one of the sizes above."""
    make_config: Any = Qwen2_5_VLConfig
    vision = QWEN_VL_VISION | {"out_hidden_size": text["hidden_size"]}
    config = make_config(vision_config=vision, text_config=dict(text), tie_word_embeddings=text["tie_word_embeddings"])
    return _shapes(name, Qwen2_5_VLForConditionalGeneration, config)


def published() -> list[Shapes]:
    """Return the shapes of the models that there are recipes for, and the smallest Qwen2.5-VL."""
    return [
        r1v2_38b(),
        qwen2_5_vl("Qwen2.5-VL-7B", QWEN_VL_7B),
        qwen2_5_vl("Qwen2.5-VL-3B", QWEN_VL_3B),
    ]


def _shapes(name: str, model_class: Any, config: Any) -> Shapes:
    with torch.device("meta"):
        model = model_class(config)
    model.tie_weights()
    text = config.get_text_config()
    parts = {part: _count(*modules) for part, modules in part_modules(model).items()}
    blocks = [
        block for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) > 1 for block in module
    ]
    head = model.get_output_embeddings()
    linear = [m for m in model.model.language_model.modules() if isinstance(m, nn.Linear) and m is not head]
    return Shapes(
        name=name,
        **parts,
        largest_block=max(_count(block) for block in blocks),
        root=_count(model) - sum(_count(block) for block in blocks),
        lora_widths=sum(layer.in_features + layer.out_features for layer in linear),
        num_layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        key_value_width=text.num_key_value_heads * (text.hidden_size // text.num_attention_heads),
    )


def _count(*modules: nn.Module) -> int:
    unique = {id(p): p for module in modules for p in module.parameters()}
    return sum(p.numel() for p in unique.values())
