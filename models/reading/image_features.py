"""Images through tower and adapter once, and back into the model for every row that looks at them.

LLaVA and Qwen2.5-VL take the features of each image; InternVL those of all tiles in one tensor; Qwen3-VL besides them
what its deepest layers add later ("deepstack", arXiv:2511.21631). Here the features of an image, or of a tile, are one
tensor in each case, so that rows can be picked without knowing which family it is.

Shapes: n image tokens of one image or tile, H hidden size, D deepstack levels (0 but for Qwen3-VL).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling


def image_features(model: PreTrainedModel, visions: Sequence[dict[str, Tensor]]) -> list[list[Tensor]]:
    """Return for each prompt the features of its images, (n, H * (1 + D)) each, deepstack levels side by side.

    Args:
        model: a vision-language model.
        visions: of each prompt what the image processor made; empty without image.
    """
    with_image = [vision for vision in visions if vision]
    if not with_image:
        return [[] for _ in visions]
    stacked = {key: torch.cat([v[key] for v in with_image]).to(model.device) for key in with_image[0]}
    stacked["pixel_values"] = stacked["pixel_values"].to(model.dtype)
    out: Any = model.get_image_features(**stacked)  # pyright: ignore[reportCallIssue]
    levels = [out.pooler_output, *(getattr(out, "deepstack_features", None) or [])]
    features = iter([torch.cat(of_image, dim=-1) if len(levels) > 1 else of_image[0] for of_image in zip(*levels)])  # noqa: B905
    return [[next(features) for _ in range(_num_images(vision))] for vision in visions]


def encoder_output(model: PreTrainedModel, features: Sequence[Tensor]) -> Any:
    """Return features of images, in the order of their tokens, as the model's forward takes them.

    Args:
        model: the model that made them.
        features: (n, H * (1 + D)) each.
    """
    width = model.config.get_text_config().hidden_size
    levels = [[of_image[:, start : start + width] for of_image in features] for start in _starts(features, width)]
    make_output: Any = BaseModelOutputWithPooling
    if model.config.model_type == "internvl":
        return make_output(pooler_output=torch.stack(levels[0]))
    output = make_output(pooler_output=tuple(levels[0]))
    if len(levels) > 1:
        output.deepstack_features = levels[1:]
    return output


def _starts(features: Sequence[Tensor], width: int) -> range:
    return range(0, features[0].shape[1], width)


def _num_images(vision: dict[str, Tensor]) -> int:
    """Return how many tensors of features a prompt has: one per image, or per tile where images are cut."""
    if not vision:
        return 0
    grid = vision.get("image_grid_thw")
    return int((vision["pixel_values"] if grid is None else grid).shape[0])
