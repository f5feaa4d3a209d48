"""InternVL (arXiv:2404.16821) in transformers' own classes: images are cut into tiles of the tower's size."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from models.families.family import Family, Tower


class InternVL(Family):
    """InternVL: all tiles have equally many features, so the forward takes the features of all tiles in one tensor."""

    takes_any_language_model = True
    towers: ClassVar[Mapping[str, Tower]] = {"internvl_vision": Tower("InternViT", has_class_token=True)}

    def encoder_output(self, levels: Sequence[Sequence[Tensor]]) -> BaseModelOutputWithPooling:
        """Return the features of all tiles as one tensor."""
        make_output: Any = BaseModelOutputWithPooling  # annotated with less than it accepts
        return make_output(pooler_output=torch.stack(list(levels[0])))  # (tiles, n, H)
