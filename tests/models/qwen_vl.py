"""A small random Qwen2.5-VL: the family that places image tokens on a grid."""

from typing import Any, cast

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil

from datamodules.shapes_language import WORDS
from models import Policy
from models.tiny import word_tokenizer

IMAGE_END, VIDEO = "<vision_end>", "<video>"


class GridProcessor:
    """What Qwen-VL's processor does, without its video part, which needs packages that this project does not."""

    def __init__(self) -> None:
        self.tokenizer = word_tokenizer([*WORDS, IMAGE_END, VIDEO])
        make_processor = cast(Any, Qwen2VLImageProcessorPil)
        self.image_processor = make_processor(patch_size=8, merge_size=2, min_pixels=48 * 48, max_pixels=48 * 48)

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
        return self.tokenizer.apply_chat_template(*args, **kwargs)

    def __call__(self, text: list[str], images: list[Any], return_tensors: str) -> dict[str, torch.Tensor]:
        vision = self.image_processor(images, return_tensors=return_tensors)
        num_tokens = int(vision["image_grid_thw"][0].prod()) // 4
        expanded = text[0].replace("<image>", "<image>" * num_tokens)
        return {**self.tokenizer(expanded, return_tensors=return_tensors), **vision}


def qwen_vl_policy() -> Policy:
    """Return a Qwen2.5-VL of two layers with sharp random weights."""
    torch.manual_seed(0)
    processor = GridProcessor()
    tokenizer = processor.tokenizer
    make_config = cast(Any, Qwen2_5_VLConfig)
    config = make_config(
        text_config=make_config.sub_configs["text_config"](
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256,
            bos_token_id=None, eos_token_id=None,
            rope_parameters={"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
        ),
        vision_config=make_config.sub_configs["vision_config"](
            depth=2, hidden_size=32, intermediate_size=64, num_heads=2, out_hidden_size=32, patch_size=8,
            spatial_merge_size=2, fullatt_block_indexes=[1], window_size=32, temporal_patch_size=2,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids(VIDEO),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|im_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids(IMAGE_END),
    )  # fmt: skip
    model = Qwen2_5_VLForConditionalGeneration(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(6.0)
    return Policy(model, processor)
