"""The three parts of a vision-language model, by the names used in configs, and which of them learn."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from algorithms import ConfigError
from models.families import family_of

PARTS = ("vision_tower", "adapter", "language_model")


def part_modules(model: PreTrainedModel) -> dict[str, list[nn.Module]]:
    """Return the modules of each part that the model has; a language model without vision is all ``language_model``."""
    return family_of(model).part_modules(model)


def set_trainable_parts(model: PreTrainedModel, parts: Sequence[str]) -> None:
    """Let the parameters of the named parts learn, and freeze all others.

    Raises:
        ConfigError: for an empty list, and for a part that this model does not have.
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
    # An optimizer makes no state for parameters that never get a gradient, and then its checkpoint cannot be restored.
    for module in unused_modules(model):
        module.requires_grad_(False)


def frozen_parts(model: PreTrainedModel) -> list[str]:
    """Return the parts without a single trainable parameter."""
    return [
        name
        for name, modules in part_modules(model).items()
        # LoRA layers count too: a part with them is not frozen.
        if not any(p.requires_grad for module in modules for p in module.parameters())
    ]


def unused_modules(model: PreTrainedModel) -> list[nn.Module]:
    """Return the modules of the parts that no forward reads."""
    return family_of(model).unused_modules(model)
