"""LLaVA's assembly: SigLIP or CLIP and any language model as ``LlavaForConditionalGeneration``.

    image -> tower, class token dropped if it has one -> linear, GELU, linear -> one feature per patch

LLaVA 1.5, arXiv:2310.03744, section 3.2.
"""

from typing import Any

import torch
from transformers import AutoModelForImageTextToText, LlavaConfig, LlavaProcessor, PreTrainedModel

from algorithms import ConfigError
from models.assembly.image_tokens import add_embeddings, chat_template_with_images, image_token
from models.assembly.internvl import Tiling
from models.families.llava import Llava
from models.reading.head import set_head_bias
from models.reading.prompt_encoder import Tokenizer


def assemble_llava(
    tower: PreTrainedModel,
    image_processor: Any,
    language_model: PreTrainedModel,
    tokenizer: Tokenizer,
    tiling: Tiling | None,
) -> tuple[PreTrainedModel, LlavaProcessor]:
    """Return the joined model, which has a copy of both parts' weights, and its processor.

    Args:
        tower: one of ``Llava.towers``.
        image_processor: the tower's own.
        language_model: any causal language model.
        tokenizer: its own.
        tiling: must be None.

    Raises:
        ConfigError: for a tiling, or a chat template that cannot place images.
    """
    vision = tower.config
    if tiling is not None:
        raise ConfigError(
            f"model.policy.tiling is {tiling}, but the tower is a {vision.model_type!r} model, whose images are not "
            "cut into tiles: leave it null."
        )
    token = image_token(tokenizer)
    add_embeddings(language_model, tokenizer)
    has_class_token = Llava.towers[vision.model_type].has_class_token
    # transformers' names: "default" drops the first output, "full" keeps all of them.
    strategy = "default" if has_class_token else "full"
    model = _joined_model(tower, language_model, tokenizer, token, strategy)
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=int(has_class_token),  # counted by the processor, and dropped again
        image_token=token,
        chat_template=chat_template_with_images(tokenizer, token),
    )
    return model, processor


def _joined_model(
    tower: PreTrainedModel, language_model: PreTrainedModel, tokenizer: Tokenizer, token: str, strategy: str
) -> Any:
    """Return a LLaVA with a copy of both parts' weights and a fresh adapter."""
    vision, text = tower.config, language_model.config
    # transformers annotates less than its constructors accept. Settings are copied, as weights are below: the joined
    # model shares nothing with its parts.
    make_config: Any = LlavaConfig
    config = make_config(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids(token),
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy=strategy,
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
    if head.bias is not None:
        set_head_bias(model, head.bias.clone())
    return model
