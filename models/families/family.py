"""What may differ between families of vision-language models; the defaults are those of most classes in transformers.

    pixels -> tower, adapter -> features of every image or tile -> put back at the image tokens -> language model

A family describes classes of transformers and holds no weights. The family of every type of model is in
``models/families/registry.py``.

Shapes: U prompts, B rows, L prompt tokens, T completion tokens, n image tokens of one image or tile, H hidden size,
A axes of positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Int
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling

Vision = Mapping[str, Tensor]
"""What an image processor made of one prompt's images: ``pixel_values`` and, in some families, more. May be empty."""


class Tower(NamedTuple):
    """A vision tower from which models of a family can be assembled."""

    name: str
    """For errors."""

    has_class_token: bool
    """Whether the first output stands for the whole image, and not for a patch."""


@dataclass(frozen=True)
class Family:
    """A family with a vision tower, a projector and a language model side by side, and one feature tensor per image."""

    processor_class: type[ProcessorMixin] | None = None
    """The processor's class, if it has a part for video, which needs torchvision. None: it has no such part."""

    towers: ClassVar[Mapping[str, Tower]] = {}
    """Towers that ``models.assembly`` joins into models of this family, by ``config.model_type``."""

    takes_any_language_model: ClassVar[bool] = False
    """Whether the language model may be of any type. False: the family has a language model of its own."""

    def part_modules(self, model: PreTrainedModel) -> dict[str, list[nn.Module]]:
        """Return the modules of ``vision_tower``, ``adapter`` and ``language_model``, each parameter in one of them."""
        # transformers annotates submodules as tensors or modules.
        inner: Any = model.model
        head: Any = model.get_output_embeddings()
        return {
            "vision_tower": [inner.vision_tower],
            "adapter": [inner.multi_modal_projector],
            "language_model": [inner.language_model, head],
        }

    def adapters(self, model: PreTrainedModel) -> list[nn.Module]:
        """Return the module that makes each level of features, in the order of ``feature_levels``."""
        inner: Any = model.model
        return [inner.multi_modal_projector]

    def patches_per_token(self, model: PreTrainedModel) -> int:
        """Return how many rows of the tower an adapter merges into the features of one image token."""
        return 1

    def unused_modules(self, model: PreTrainedModel) -> list[nn.Module]:
        """Return the modules of the parts that no forward reads."""
        return []

    def num_features(self, vision: Vision) -> int:
        """Return the number of feature tensors of a prompt with images: one per image, or one per tile."""
        # The image processor makes one row of pixels of every image or tile.
        return int(vision["pixel_values"].shape[0])

    def feature_levels(self, output: Any) -> list[Sequence[Tensor]]:
        """Return the features of every image or tile, (n, H) each, in the one level that most families have.

        Args:
            output: what ``model.get_image_features`` returned.
        """
        # A tensor (images, n, H) or, where images differ in n, a tuple of tensors (n, H).
        return [output.pooler_output]

    def encoder_output(self, levels: Sequence[Sequence[Tensor]]) -> BaseModelOutputWithPooling:
        """Return features, as ``feature_levels`` returned them, in the form that the model's forward takes."""
        make_output: Any = BaseModelOutputWithPooling  # annotated with less than it accepts
        return make_output(pooler_output=tuple(levels[0]))

    def token_inputs(
        self, model: PreTrainedModel, visions: Sequence[Vision], token_ids: Int[Tensor, "B L"]
    ) -> dict[str, Tensor]:
        """Return the inputs that a forward needs besides token ids, attention mask and image features.

        Args:
            model: a model of this family.
            visions: outputs of the image processor for each of B rows.
            token_ids: B rows, images expanded to their tokens.
        """
        return {}

    def prompt_positions(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Int[Tensor, "A U L"]:
        """Return the positions of prompts on each axis, counted from their first token; any number at padding.

        Args:
            model: a model of this family.
            inputs: inputs of the model's forward on the prompts, padded on the left.
        """
        return (inputs["attention_mask"].cumsum(1) - 1).clamp_min(0)[None]

    def next_positions(self, model: PreTrainedModel, inputs: Mapping[str, Any]) -> Int[Tensor, "U 1"] | None:
        """Return the position of the first token after each prompt; None where the model counts positions itself.

        Args:
            model: a model of this family that has just read the prompts.
            inputs: inputs of that forward.
        """
        # transformers counts all tokens in the cache, padding too. That is right, because only differences of positions
        # matter.
        return None

    def position_inputs(self, positions: Int[Tensor, "B T"] | None) -> dict[str, Tensor]:
        """Return positions of text in the form that the model's forward takes; nothing for None."""
        return {}
