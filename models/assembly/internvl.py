"""The paper's assembly: InternViT, InternVL's adapter and any language model as ``InternVLForConditionalGeneration``.

    image -> 1 to max_patches tiles and a thumbnail -> InternViT, class token dropped -> pixel shuffle: 4 patches to 1
          -> LayerNorm, linear, GELU, linear -> one feature per image token (256 per tile of 448 pixels)

InternVL 1.5, arXiv:2404.16821, section 3; R1V2 takes it over with InternViT-6B-448px-V2.5 and QwQ-32B.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import GotOcr2ImageProcessorPil, InternVLConfig, InternVLForConditionalGeneration, PreTrainedModel
from transformers.models.internvl.modeling_internvl import InternVLMultiModalProjector
from transformers.models.internvl.processing_internvl import InternVLProcessor

from algorithms import ConfigError
from models.assembly.image_tokens import add_embeddings, chat_template_with_images, name_framed_tokens
from models.loading.processors import image_only
from models.reading.head import set_head_bias
from models.reading.prompt_encoder import Tokenizer

# Pixel shuffle joins 2 x 2 patches, so each side of a tile has half as many features as patches.
_DOWNSAMPLE = 0.5


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Number of tiles of the tower's size into which an image is cut; with more than one, a thumbnail is added."""

    min_patches: int = 1
    """Fewest tiles."""

    max_patches: int = 12
    """Most tiles, thumbnail not counted; each costs as many tokens as a whole image. InternVL's default."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_patches <= self.max_patches:
            raise ConfigError(
                f"model.policy.tiling must have 1 <= min_patches <= max_patches, got {self.min_patches} and "
                f"{self.max_patches}."
            )


def assemble_internvl(
    tower: PreTrainedModel,
    image_processor: Any,
    language_model: PreTrainedModel,
    tokenizer: Tokenizer,
    tiling: Tiling | None,
) -> tuple[InternVLForConditionalGeneration, InternVLProcessor]:
    """Return the joined model, which takes over both parts' weights without copying them, and its processor.

    Args:
        tower: an ``InternVLVisionModel``.
        image_processor: the tower's own; its mean and deviation of pixels are taken.
        language_model: any causal language model.
        tokenizer: its own.
        tiling: how images are cut; None: InternVL's default.

    Raises:
        ConfigError: for a tower with an odd number of patches on a side, or a chat template that cannot place images.
    """
    name_framed_tokens(tokenizer)
    add_embeddings(language_model, tokenizer)
    config = _config(tower.config, language_model.config, tokenizer)
    # On the meta device no weight is drawn or allocated: at 38B a second copy would take 77 GB.
    with torch.device("meta"):
        model: Any = InternVLForConditionalGeneration(config)
    adapter: Any = InternVLMultiModalProjector(config)
    for module in (adapter, tower):
        # The method of ``PreTrainedModel`` is annotated for other arguments.
        nn.Module.to(module, language_model.dtype)
    # The adapter is drawn as transformers draws it when it makes the whole model.
    adapter.apply(model._init_weights)
    model.model.vision_tower = tower
    model.model.multi_modal_projector = adapter
    model.model.language_model = language_model.get_decoder()
    head: Any = language_model.get_output_embeddings()
    model.lm_head = head
    model.tie_weights()
    if head.bias is not None:
        set_head_bias(model, head.bias)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.eval(), _processor(config, image_processor, tokenizer, tiling or Tiling())


def _config(vision: Any, text: Any, tokenizer: Any) -> InternVLConfig:
    sides = [size // patch for size, patch in zip(vision.image_size, vision.patch_size, strict=True)]
    if any(side % 2 for side in sides):
        raise ConfigError(
            f"model.policy.vision_tower has {sides[0]} x {sides[1]} patches, of which InternVL's adapter joins 2 x 2: "
            "both numbers must be even."
        )
    make_config: Any = InternVLConfig
    config = make_config(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=sides[0] * sides[1] // 4,  # tokens of a tile
        downsample_ratio=_DOWNSAMPLE,
        tie_word_embeddings=text.tie_word_embeddings,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config.dtype = text.dtype
    return config


def _processor(config: Any, image_processor: Any, tokenizer: Any, tiling: Tiling) -> InternVLProcessor:
    height, width = config.vision_config.image_size
    pixels = {
        "size": {"height": height, "width": width},
        "image_mean": list(image_processor.image_mean),
        "image_std": list(image_processor.image_std),
    }
    make_images: Any = GotOcr2ImageProcessorPil
    # The video part would need torchvision, and this project trains on images.
    make_processor: Any = image_only(InternVLProcessor)
    processor = make_processor(
        image_processor=make_images(
            **pixels, crop_to_patches=True, min_patches=tiling.min_patches, max_patches=tiling.max_patches
        ),
        tokenizer=tokenizer,
        image_seq_length=config.image_seq_length,
        chat_template=chat_template_with_images(tokenizer, tokenizer.context_image_token),
    )
    # Users with torchvision load the whole processor, which needs the settings of the video part.
    processor.video_processor = {"video_processor_type": "InternVLVideoProcessor", **pixels}
    return processor
