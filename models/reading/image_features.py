"""Sends images through tower and adapter once, and gives their features to the model for every row with the image.

Between the two steps the features of an image, or of a tile, are one tensor in every family, so that picking rows needs
no code per family. Qwen3-VL has several levels of features for an image ("deepstack", arXiv:2511.21631); here they lie
side by side in that tensor.

Shapes: n image tokens of one image or tile, N those of several, H hidden size, D deepstack levels (0 but for Qwen3-VL),
K numbers that an adapter reads for an image token.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
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


def unadapted(model: PreTrainedModel, visions: Sequence[Vision]) -> list[list[Tensor]]:
    """Return the inputs of the adapter, (n, K * (1 + D)) each; arguments as for ``image_features``."""
    with _passed_by(family_of(model).adapters(model), family_of(model).patches_per_token(model)):
        return image_features(model, visions)


def adapted(model: PreTrainedModel, read: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Return the features that the adapter makes, as ``image_features`` does.

    Args:
        model: a vision-language model.
        read: results of ``unadapted`` for each prompt.
    """
    rows = [row for of_prompt in read for row in of_prompt]
    if not rows:
        return [[] for _ in read]
    family = family_of(model)
    adapters, merged = family.adapters(model), family.patches_per_token(model)
    levels = torch.cat(rows).chunk(len(adapters), dim=-1)  # (N, K) each
    made = [
        adapter(level if merged == 1 else level.reshape(-1, level.shape[-1] // merged))  # (N, H)
        for adapter, level in zip(adapters, levels, strict=True)
    ]
    together = made[0] if len(made) == 1 else torch.cat(made, dim=-1)
    features = iter(together.split([len(row) for row in rows]))
    return [[next(features) for _ in of_prompt] for of_prompt in read]


@contextmanager
def _passed_by(adapters: Sequence[nn.Module], merged: int) -> Iterator[None]:
    """Let adapters return their input until the context ends; the rows that they merge are put side by side."""

    def passed(hidden: Tensor) -> Tensor:
        return hidden if merged == 1 else hidden.reshape(-1, hidden.shape[-1] * merged)

    own: list[dict[str, Any]] = [adapter.__dict__ for adapter in adapters]
    before = [attributes.get("forward") for attributes in own]
    for attributes in own:
        attributes["forward"] = passed
    try:
        yield
    finally:
        # Most adapters have the forward of their class and none of their own, which must be removed again.
        for attributes, forward in zip(own, before, strict=True):
            attributes.pop("forward") if forward is None else attributes.update(forward=forward)


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
