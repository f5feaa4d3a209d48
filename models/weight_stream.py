"""A policy's weights one tensor at a time, whole and under Hugging Face names, wherever they lie.

    shards on R ranks -> gathered tensor -> + LoRA -> (name, tensor) -> the next one

For engines that keep a copy of the policy, and for export. A second whole model is never in memory.
"""

from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from algorithms import ConfigError

_BASE = ".base_layer"


def stream_weights(model: nn.Module, *, only_trainable: bool = False) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of a model's ``state_dict`` whole and detached, as it is now.

    Names and order are those of the same model without LoRA, tied tensors under each of their names, in the dtype in
    which they are kept. LoRA layers are added into the weights they stand beside. On one device a tensor without LoRA
    is the model's own: copy what must outlive the next optimizer step.

    With sharded weights every step of the iteration is a collective call: all ranks must go through to the end, also
    those that have no use for the tensors.

    Args:
        model: the policy's ``model``.
        only_trainable: leave out what no optimizer step changes.

    Raises:
        ConfigError: for adapter layers of another kind than LoRA on linear layers.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    learning = {name for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    for name, tensor in model.state_dict(keep_vars=True).items():
        layer_name, is_base, leaf = name.rpartition(_BASE + ".")
        if not is_base:
            if not _is_adapters(name, layers) and (name in learning or not only_trainable):
                yield name, whole(tensor)
            continue
        layer = layers[layer_name]
        is_learning = name in learning or (leaf == "weight" and _learns(layer))
        if is_learning or not only_trainable:
            yield f"{layer_name}.{leaf}", _merged(layer_name, layer, tensor) if leaf == "weight" else whole(tensor)


def _is_adapters(name: str, layers: dict[str, Any]) -> bool:
    """Return whether a tensor belongs to an adapter layer, and to none of the layers it stands beside."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in layers for end in range(1, len(parts)))


def _learns(layer: Any) -> bool:
    return any(p.requires_grad for name, p in layer.named_parameters() if not name.startswith("base_layer."))


@torch.no_grad()
def _merged(name: str, layer: Any, base: Tensor) -> Tensor:
    """Return the weight with its low-rank updates, as peft merges them."""
    if not (hasattr(layer, "lora_A") and isinstance(layer.get_base_layer(), nn.Linear)):
        raise ConfigError(
            f"{name} has an adapter of class {type(layer).__name__}: only LoRA on linear layers is merged."
        )
    weight = whole(base)
    if layer.merged:
        return weight
    for adapter in layer.active_adapters:
        up, down = whole(layer.lora_B[adapter].weight), whole(layer.lora_A[adapter].weight)
        weight = weight + (up @ down * layer.scaling[adapter]).to(weight.dtype)
    return weight


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """Return a tensor detached, and if its slices lie on several ranks gathered, in a collective call."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
