"""Modular reassembly: a vision tower and a language model trained apart, joined by a fresh MLP adapter.

    y = f_l(f_c(f_v(x_v)), x_t)        R1V2, arXiv:2504.16656, eq. 1: only f_c, the adapter, is trained

The joined model is a stock ``LlavaForConditionalGeneration``, so that vLLM and ``transformers`` load it
without this project.

Differs from the paper: R1V2's adapter follows InternVL's (pixel shuffle, then LayerNorm and two linear
layers); LLaVA's is two linear layers on the tower's own patches.
"""

from typing import Any

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedModel

from algorithms import ConfigError


def assemble(
    tower: PreTrainedModel, image_processor: Any, language_model: PreTrainedModel, tokenizer: Any
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Return tower and language model joined by a randomly initialised adapter, and the processor.

    Args:
        tower: a vision model with one output per patch and no class token, such as SigLIP.
        image_processor: the tower's own.
        language_model: any causal language model.
        tokenizer: the language model's own; needs an ``<image>`` token.

    Raises:
        ConfigError: when the tokenizer has no image token.
    """
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    if image_token_id is None or image_token_id == tokenizer.unk_token_id:
        raise ConfigError(
            "model.policy.language_model: its tokenizer has no '<image>' token, which marks where image features go. "
            "Add it with tokenizer.add_special_tokens and resize the embeddings."
        )
    vision, text = tower.config, language_model.config
    # transformers annotates less than its constructors accept.
    make_config: Any = LlavaConfig
    config = make_config(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=image_token_id,
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=text.tie_word_embeddings,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = LlavaForConditionalGeneration(config)
    model.to(dtype=language_model.dtype)
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
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
    )
    return model, processor
