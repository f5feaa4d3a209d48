"""LLaVA (arXiv:2304.08485, 2310.03744): a SigLIP or CLIP tower, two linear layers, any language model."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn
from transformers import PreTrainedModel

from models.families.family import Family, Tower


class Llava(Family):
    """LLaVA reads the hidden states of one layer of its tower; the layers behind it are unused."""

    takes_any_language_model = True
    towers: ClassVar[Mapping[str, Tower]] = {
        "siglip_vision_model": Tower("SigLIP", has_class_token=False),
        "clip_vision_model": Tower("CLIP", has_class_token=True),
    }

    def unused_modules(self, model: PreTrainedModel) -> list[nn.Module]:
        """Return the tower's layers behind the deepest one that is read, its last norm and its pooling."""
        inner: Any = model.model
        tower = inner.vision_tower
        # Some towers lack one of them: CLIP has no head, and SigLIP may be built without a head.
        unused = [module for name in ("post_layernorm", "head") if (module := getattr(tower, name, None)) is not None]
        layers, taken = list(tower.encoder.layers), model.config.vision_feature_layer
        # Entry i of the hidden states is what layer i - 1 returns; entry 0 is the embeddings. Indices may be negative.
        deepest = max(index % (len(layers) + 1) for index in ([taken] if isinstance(taken, int) else taken))
        return unused + layers[deepest:]
