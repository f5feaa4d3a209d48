"""The three parts of a vision-language model, by the names used in configs, and which of them learn."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from algorithms import ConfigError

PARTS = ("vision_tower", "adapter", "language_model")


def part_modules(model: PreTrainedModel) -> dict[str, list[nn.Module]]:
    """Return the modules of each part that the model has.

    LLaVA-architecture models, InternVL and Qwen-VL have all three; a bare language model is all ``language_model``.
    """
    # transformers annotates submodules as tensors or modules.
    inner: Any = getattr(model, "model", model)
    head: Any = model.get_output_embeddings()
    if hasattr(inner, "multi_modal_projector"):
        tower, adapter = [inner.vision_tower], [inner.multi_modal_projector]
    elif hasattr(inner, "visual"):
        # Qwen-VL keeps its adapter, the merger (Qwen3-VL's deepstack mergers too), inside of the tower.
        merges = {name: "merger" in name for name, _ in inner.visual.named_children()}
        tower = [module for name, module in inner.visual.named_children() if not merges[name]]
        adapter = [module for name, module in inner.visual.named_children() if merges[name]]
    else:
        return {"language_model": [model]}
    return {"vision_tower": tower, "adapter": adapter, "language_model": [inner.language_model, head]}


def set_trainable_parts(model: PreTrainedModel, parts: Sequence[str]) -> None:
    """Freeze everything but the named parts.

    Raises:
        ConfigError: for no part, or one that this model does not have.
    """
    available = part_modules(model)
    wrong = [part for part in parts if part not in available]
    if wrong or not parts:
        raise ConfigError(
            f"model.learning.trainable must name at least one of {list(available)}, got {list(parts)}: "
            "these are the parts this model has."
        )
    model.requires_grad_(False)
    for part in parts:
        for module in available[part]:
            module.requires_grad_(True)
    _freeze_unused(model)


def frozen_parts(model: PreTrainedModel) -> list[str]:
    """Return the parts without a single trainable parameter."""
    return [
        name
        for name, modules in part_modules(model).items()
        if not any(p.requires_grad for module in modules for p in module.parameters())
    ]


def unused_modules(model: PreTrainedModel) -> list[nn.Module]:
    """Return what lies in the tower but no forward reads: LLaVA takes the tower's hidden states of one layer."""
    inner: Any = getattr(model, "model", model)
    if model.config.model_type != "llava":
        return []
    tower = inner.vision_tower
    # Norm and pooling behind the last layer, in SigLIP and CLIP.
    unused = [module for name in ("post_layernorm", "head") if (module := getattr(tower, name, None)) is not None]
    layers, taken = list(tower.encoder.layers), model.config.vision_feature_layer
    # Entry i of the hidden states is what layer i - 1 gives; entry 0 is the embeddings.
    deepest = max(index % (len(layers) + 1) for index in ([taken] if isinstance(taken, int) else taken))
    return unused + layers[deepest:]


def _freeze_unused(model: PreTrainedModel) -> None:
    """Freeze what the forward never reads: optimizers keep no state for it and then cannot be restored."""
    for module in unused_modules(model):
        module.requires_grad_(False)
