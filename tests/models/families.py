"""One small random policy of each family of models, of the family's own classes, with sharp weights.

With weights as they are initialised every image would give the same answer, and tests of images would pass vacuously.
"""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    InternVLVisionConfig,
    InternVLVisionModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3VLConfig,
    Qwen3VLProcessor,
)

from datamodules.shapes.language import WORDS
from models import Policy, Tiling
from models.assembly import assemble
from models.assembly.tiny import fresh_language_model, fresh_vision_tower, word_tokenizer
from models.loading.processors import image_only

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


class Stripes:
    """An image reference that needs no file; no two rows or columns of it are alike."""

    def __init__(self, width: int, height: int, shade: int) -> None:
        self.width, self.height, self.shade = width, height, shade

    def load(self) -> Image.Image:
        pixels = torch.arange(self.width * self.height * 3).mul(self.shade).remainder(251).to(torch.uint8)
        return Image.fromarray(pixels.view(self.height, self.width, 3).numpy())


def family(name: str) -> Policy:
    """Return the policy of a family, the same at every call."""
    torch.manual_seed(0)
    model, processor = FAMILIES[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():  # class tokens and positions start at 0
                parameter.normal_(std=0.1)
            elif parameter.ndim > 1:
                parameter.mul_(6.0)
    return Policy(model, processor)


def qwen2(tokenizer: Any) -> Any:
    return fresh_language_model(
        len(tokenizer), hidden_size=64, num_layers=2, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id
    )


def qwen3(tokenizer: Any) -> Any:
    """Return a Qwen3 whose head is not tied to its embeddings, with spare rows behind the vocabulary."""
    make_config: Any = Qwen3Config
    config = make_config(
        **SIZES, vocab_size=len(tokenizer) + 8, num_key_value_heads=1, head_dim=32, tie_word_embeddings=False,
        max_position_embeddings=512, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def siglip_llava() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(WORDS)
    tower = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    return assemble(*tower, qwen2(tokenizer), tokenizer)


def clip_llava() -> tuple[Any, Any]:
    """Return a LLaVA whose tower puts a class token before the patches."""
    tokenizer = word_tokenizer(WORDS)
    make_config, make_images = CLIPVisionConfig, CLIPImageProcessorPil
    tower = CLIPVisionModel(make_config(**SIZES, image_size=48, patch_size=16))  # pyright: ignore
    images = make_images(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48})  # pyright: ignore
    return assemble(tower, images, qwen3(tokenizer), tokenizer)


def intern_vit(**changes: Any) -> InternVLVisionModel:
    """Return a tower with what InternViT-6B has and the smaller ones have not: RMS norms, also of queries and keys."""
    make_config: Any = InternVLVisionConfig
    settings = {"image_size": 32, "patch_size": 8, "norm_type": "rms_norm", "use_qk_norm": True, **SIZES, **changes}
    return InternVLVisionModel(make_config(**settings))


def clip_images() -> Any:
    make_images: Any = CLIPImageProcessorPil
    return make_images(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])


def internvl() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(WORDS)
    return assemble(intern_vit(), clip_images(), qwen3(tokenizer), tokenizer, Tiling(max_patches=4))


def qwen2_vl() -> tuple[Any, Any]:
    vision = {
        "depth": 2, "embed_dim": 32, "mlp_ratio": 2, "num_heads": 2, "hidden_size": 32, "patch_size": 8,
        "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    return _qwen_vl(Qwen2VLConfig, Qwen2VLProcessor, vision, {"mrope_section": [2, 3, 3]}, {})


def qwen2_5_vl() -> tuple[Any, Any]:
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32, "patch_size": 8,
        "spatial_merge_size": 2, "fullatt_block_indexes": [1], "window_size": 32, "temporal_patch_size": 2,
    }  # fmt: skip
    return _qwen_vl(Qwen2_5_VLConfig, Qwen2_5_VLProcessor, vision, {"mrope_section": [2, 3, 3]}, {})


def qwen3_vl() -> tuple[Any, Any]:
    """Return a Qwen3-VL with one level of deepstack."""
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32, "patch_size": 8,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "deepstack_visual_indexes": [0],
        "num_position_embeddings": 36,
    }  # fmt: skip
    rope = {"mrope_section": [2, 3, 3], "mrope_interleaved": True}
    return _qwen_vl(Qwen3VLConfig, Qwen3VLProcessor, vision, rope, {"head_dim": 16})


def _qwen_vl(config_class: Any, processor_class: Any, vision: Any, rope: Any, text: Any) -> tuple[Any, Any]:
    tokenizer = word_tokenizer([*WORDS, "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"])
    parts = config_class.sub_configs
    config = config_class(
        text_config=parts["text_config"](
            **SIZES, **text, vocab_size=len(tokenizer), num_key_value_heads=1, max_position_embeddings=256,
            bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0, **rope},
        ),
        vision_config=parts["vision_config"](**vision),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    )  # fmt: skip
    make_images: Any = Qwen2VLImageProcessorPil
    images = make_images(patch_size=8, merge_size=2, size={"shortest_edge": 48 * 48, "longest_edge": 48 * 96})
    processor = image_only(processor_class)(
        image_processor=images, tokenizer=tokenizer, chat_template=tokenizer.chat_template
    )
    return AutoModelForImageTextToText.from_config(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "siglip_llava": siglip_llava,
    "clip_llava": clip_llava,
    "internvl": internvl,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
}
