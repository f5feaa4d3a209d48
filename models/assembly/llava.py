"""Modular reassembly: a vision tower and a language model trained apart, joined by a fresh MLP adapter.

    y = f_l(f_c(f_v(x_v)), x_t)        R1V2, arXiv:2504.16656, eq. 1: only f_c, the adapter, is trained

The joined model is of a stock class, so that vLLM and ``transformers`` load it without this project:

    tower                 class                              adapter
    InternViT             InternVLForConditionalGeneration   pixel shuffle, LayerNorm, two linear layers (the paper's)
    SigLIP, CLIP          LlavaForConditionalGeneration      two linear layers on the tower's own patches
"""

from typing import Any

import torch
from transformers import AutoModelForImageTextToText, LlavaConfig, LlavaProcessor, PreTrainedModel

from algorithms import ConfigError
from models.assembly.image_tokens import chat_template_with_images, image_token, make_room
from models.assembly.internvl import Tiling, assemble_internvl

# Whether the tower's first output stands for the whole image and must be dropped.
_LLAVA_SELECTS = {"siglip_vision_model": "full", "clip_vision_model": "default"}


def assemble(
    tower: PreTrainedModel,
    image_processor: Any,
    language_model: PreTrainedModel,
    tokenizer: Any,
    tiling: Tiling | None = None,
) -> tuple[PreTrainedModel, Any]:
    """Return tower and language model joined by a randomly initialised adapter, and the processor.

    Args:
        tower: a vision model.
        image_processor: the tower's own.
        language_model: any causal language model.
        tokenizer: the language model's own; image tokens are added where it has none.
        tiling: into how many tiles InternVL's processor cuts an image; no other class cuts any.

    Raises:
        ConfigError: for a tower that no class takes, and for a chat template without room for images.
    """
    kind = tower.config.model_type
    if kind == "internvl_vision":
        return assemble_internvl(tower, image_processor, language_model, tokenizer, tiling or Tiling())
    if kind not in _LLAVA_SELECTS:
        raise ConfigError(
            f"model.policy.vision_tower is a {kind!r} model; towers that a stock class takes are InternViT "
            f"(internvl_vision), SigLIP and CLIP ({', '.join(_LLAVA_SELECTS)})."
        )
    if tiling is not None:
        raise ConfigError(
            f"model.policy.tiling is {tiling}, but the tower is a {kind!r} model, whose images are not cut into tiles: "
            "leave it null."
        )
    return _assemble_llava(tower, image_processor, language_model, tokenizer)


def _assemble_llava(
    tower: PreTrainedModel, image_processor: Any, language_model: PreTrainedModel, tokenizer: Any
) -> tuple[PreTrainedModel, LlavaProcessor]:
    token = image_token(tokenizer)
    make_room(language_model, tokenizer)
    vision, text = tower.config, language_model.config
    selects = _LLAVA_SELECTS[vision.model_type]
    # transformers annotates less than its constructors accept.
    make_config: Any = LlavaConfig
    config = make_config(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids(token),
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy=selects,
        tie_word_embeddings=text.tie_word_embeddings,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = AutoModelForImageTextToText.from_config(config, dtype=language_model.dtype)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.language_model.load_state_dict(language_model.get_decoder().state_dict())
    head: Any = language_model.get_output_embeddings()
    with torch.no_grad():
        model.lm_head.weight.copy_(head.weight)
    model.tie_weights()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=selects,
        num_additional_image_tokens=int(selects == "default"),  # the class token, dropped again
        image_token=token,
        chat_template=chat_template_with_images(tokenizer, token),
    )
    return model, processor
