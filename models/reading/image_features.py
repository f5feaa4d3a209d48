"""Sends images through tower and adapter once, and gives their features to the model for every row with the image.

Between the two steps the features of an image, or of a tile, are one tensor in every family, so that picking rows needs
no code per family. Qwen3-VL has several levels of features for an image ("deepstack", arXiv:2511.21631); here they lie
side by side in that tensor.

Shapes: n image tokens of one image or tile, H hidden size, D deepstack levels (0 but for Qwen3-VL).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from models.families import Vision, family_of


def image_features(model: PreTrainedModel, visions: Sequence[Vision]) -> list[list[Tensor]]:
    """Return for each prompt the features of its images or tiles, (n, H * (1 + D)) each, levels side by side.

    Args:
        model: a vision-language model.
        visions: for each prompt the output of the image processor; empty without image.
    """
    with_image = [vision for vision in visions if vision]
    if not with_image:
        return [[] for _ in visions]
    family = family_of(model)
    stacked = {key: torch.cat([v[key] for v in with_image]).to(model.device) for key in with_image[0]}
    stacked["pixel_values"] = stacked["pixel_values"].to(model.dtype)
    output = model.get_image_features(**stacked)  # pyright: ignore[reportCallIssue]
    levels = family.feature_levels(output)
    # Concatenating a single level would only copy it.
    of_images = levels[0] if len(levels) == 1 else [torch.cat(one, dim=-1) for one in zip(*levels, strict=True)]
    features = iter(of_images)
    return [[next(features) for _ in range(family.num_features(vision) if vision else 0)] for vision in visions]


def encoder_output(model: PreTrainedModel, features: Sequence[Tensor]) -> BaseModelOutputWithPooling:
    """Return features of images, in the order of their tokens, in the form that the model's forward takes.

    Args:
        model: the model that made the features.
        features: features of each image or tile, (n, H * (1 + D)).
    """
    width = model.config.get_text_config().hidden_size
    starts = range(0, features[0].shape[1], width)
    levels = [[of_image[:, start : start + width] for of_image in features] for start in starts]  # (n, H) each
    return family_of(model).encoder_output(levels)
