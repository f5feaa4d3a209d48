"""LoRA layers on chosen parts of a policy (arXiv:2106.09685), through peft, without changing the model's class."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import peft
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from algorithms import ConfigError
from algorithms.errors import check_at_least
from models.parts import part_modules, unused_modules


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """Low-rank updates of the linear layers of some parts, without dropout: engine and learner must agree."""

    parts: tuple[str, ...] = ("language_model",)
    """Parts whose linear layers get an update; their own weights learn only if ``trainable`` names the part as well."""

    rank: int = 16
    """Rank of each update."""

    alpha: int = 32
    """Updates are scaled by alpha / rank."""

    def __post_init__(self) -> None:
        check_at_least("model.learning.lora.rank", self.rank, 1)


def add_lora(model: PreTrainedModel, config: LoRAConfig) -> None:
    """Put LoRA layers into a model, in place. The layers learn, and the parameters that learnt before still learn.

    Raises:
        ConfigError: for a part that the model does not have.
    """
    available = part_modules(model)
    if wrong := [part for part in config.parts if part not in available]:
        raise ConfigError(
            f"model.learning.lora.parts must be among {list(available)}, got {wrong}: the model has these parts."
        )
    head = model.get_output_embeddings()
    wanted = {id(m) for part in config.parts for module in available[part] for m in module.modules()}
    # An update that no forward reads would get no gradient.
    wanted -= {id(m) for module in unused_modules(model) for m in module.modules()}
    # The head stays as it is: it is often tied to the embeddings.
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in wanted and module is not head
    ]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # peft draws the updates and then moves them to the device of the weights; on the meta device the numbers are lost.
    random_state = torch.get_rng_state()
    peft.inject_adapter_in_model(
        peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=names, bias="none"),
        model,
    )
    _materialize(model, random_state)
    # peft freezes everything else.
    for parameter in learning:
        parameter.requires_grad_(True)


def lora_ranks(model: PreTrainedModel) -> dict[str, int]:
    """Return the largest rank of LoRA updates in each part that has any."""
    layers = {part: [x for m in modules for x in _lora_layers(m)] for part, modules in part_modules(model).items()}
    return {part: max(_rank(layer) for layer in found) for part, found in layers.items() if found}


@contextmanager
def lora_off(model: nn.Module) -> Iterator[None]:
    """Compute without LoRA updates until the context ends."""
    layers = _lora_layers(model)
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@contextmanager
def lora_apart(model: nn.Module) -> Iterator[None]:
    """Put the original layers in the place of LoRA layers until the context ends, without their updates."""
    replaced: list[tuple[nn.Module, str, Any]] = []
    # A list, because the loop changes the tree that it walks.
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, BaseTunerLayer):
                replaced.append((parent, name, child))
                setattr(parent, name, child.get_base_layer())
    try:
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)


def _materialize(model: nn.Module, random_state: Tensor) -> None:
    """Draw LoRA layers again, with the same numbers, where peft moved them to the meta device.

    No file holds values for these layers, and training must start from the same values as with a whole model.
    """
    empty = [(layer, name) for layer in _lora_layers(model) for name in layer.lora_A if _is_empty(layer, name)]
    if empty:
        torch.set_rng_state(random_state)
    for layer, name in empty:
        for matrix in (layer.lora_A[name], layer.lora_B[name]):
            # peft drew numbers for this matrix too, so the draws stay in step.
            matrix.to_empty(device="cpu").reset_parameters()
        layer.reset_lora_parameters(name, True)


def _is_empty(layer: Any, name: str) -> bool:
    return layer.lora_A[name].weight.is_meta


def _rank(layer: Any) -> int:
    """Return the rank of all updates of a layer together."""
    return sum(layer.r[adapter] for adapter in layer.active_adapters)


def _lora_layers(model: nn.Module) -> Sequence[Any]:
    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
