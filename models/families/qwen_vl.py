"""Qwen2-VL (arXiv:2409.12191), Qwen2.5-VL (arXiv:2502.13923) and Qwen3-VL (arXiv:2511.21631).

Images keep their size, so that each has a grid of patches of its own: ``image_grid_thw``, (images, 3), is time, height
and width in patches. Positions have the same three axes (M-RoPE). All tokens of an image share one position in time,
and the text after an image continues from the largest position. So positions are smaller than the number of tokens
read.

Shapes: U prompts, B rows, L prompt tokens, T completion tokens, n image tokens of one image, H hidden size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from models.families.family import Family, Vision


class QwenVL(Family):
    """Qwen2-VL and Qwen2.5-VL."""

    def part_modules(self, model: PreTrainedModel) -> dict[str, list[nn.Module]]:
        """Return the three parts; the adapter is the merger, which lies inside the tower's module."""
        inner: Any = model.model
        head: Any = model.get_output_embeddings()
        # Qwen3-VL has a merger for each level of deepstack besides.
        is_merger = {name: "merger" in name for name, _ in inner.visual.named_children()}
        return {
            "vision_tower": [module for name, module in inner.visual.named_children() if not is_merger[name]],
            "adapter": [module for name, module in inner.visual.named_children() if is_merger[name]],
            "language_model": [inner.language_model, head],
        }

    def adapters(self, model: PreTrainedModel) -> list[nn.Module]:
        """Return the merger."""
        inner: Any = model.model
        return [inner.visual.merger]

    def patches_per_token(self, model: PreTrainedModel) -> int:
        """Return the patches of a square that the merger makes one token of."""
        return model.config.vision_config.spatial_merge_size**2

    def num_features(self, vision: Vision) -> int:
        """Return the number of images: ``pixel_values`` has a row per patch here."""
        return int(vision["image_grid_thw"].shape[0])

    def token_inputs(
        self, model: PreTrainedModel, visions: Sequence[Vision], token_ids: Int[Tensor, "B L"]
    ) -> dict[str, Tensor]:
        """Return the grids and which tokens are image tokens; without them an image would be read as a line of text."""
        grids = [vision["image_grid_thw"] for vision in visions if vision]
        return {
            "image_grid_thw": torch.cat(grids).to(token_ids.device),
            "mm_token_type_ids": (token_ids == model.config.image_token_id).long(),
        }

    def prompt_positions(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Int[Tensor, "3 U L"]:
        """Return the positions of prompts in time, height and width."""
        if "image_grid_thw" not in inputs:
            return super().prompt_positions(model, inputs).expand(3, -1, -1)
        base: Any = model.base_model
        names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
        return base.get_rope_index(**{name: inputs[name] for name in names})[0]

    def next_positions(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Int[Tensor, "U 1"] | None:
        """Return the position of the first token after each prompt, equal on all three axes."""
        if "image_grid_thw" not in inputs:
            # Without images transformers counts padding too, and leaves ``rope_deltas`` of an earlier call in place.
            return torch.full_like(inputs["input_ids"][:, :1], inputs["input_ids"].shape[1])
        # (U, 1), never positive: position minus number of tokens of each row, padding not counted.
        deltas: Any = model.base_model.rope_deltas
        return inputs["attention_mask"].sum(1, keepdim=True) + deltas

    def position_inputs(self, positions: Int[Tensor, "B T"] | None) -> dict[str, Tensor]:
        """Return positions of text: the same in time, height and width."""
        return {} if positions is None else {"position_ids": positions.expand(3, -1, -1)}  # (3, B, T)


class Qwen3VL(QwenVL):
    """Qwen3-VL: features of some earlier layers of the tower are added within the language model ("deepstack")."""

    def adapters(self, model: PreTrainedModel) -> list[nn.Module]:
        """Return the merger, and that of each level of deepstack."""
        inner: Any = model.model
        return [inner.visual.merger, *inner.visual.deepstack_merger_list]

    def feature_levels(self, output: Any) -> list[Sequence[Tensor]]:
        """Return the features of every image in 1 + D levels, those of deepstack last."""
        return [output.pooler_output, *output.deepstack_features]

    def encoder_output(self, levels: Sequence[Sequence[Tensor]]) -> BaseModelOutputWithPooling:
        """Return the features with the levels of deepstack beside them."""
        output: Any = super().encoder_output(levels)
        output.deepstack_features = levels[1:]
        return output
