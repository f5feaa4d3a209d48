"""A policy's weights one tensor at a time, whole and under Hugging Face names, also where they are sharded.

    shards on R ranks -> gathered tensor -> + LoRA -> (name, tensor) -> the next one

For engines that keep a copy of the policy, and for export. There is never a second whole model in memory.
"""

from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from algorithms import ConfigError

# peft puts a layer in the place of another and keeps the other one inside, under this name.
_BASE = ".base_layer"


def stream_weights(model: nn.Module, *, only_trainable: bool = False) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of a model's ``state_dict`` whole and detached, as it is now.

    Names and order are those of the same model without LoRA, tied tensors under each of their names, in the dtype in
    which they are kept. LoRA updates are added to the weights that they belong to. On one device a tensor without LoRA
    is the model's own: copy it if it must outlive the next optimizer step.

    With sharded weights every step of the iteration is a collective call: all ranks must iterate to the end, also those
    that do not use the tensors.

    Args:
        model: the policy's ``model``.
        only_trainable: leave out the tensors that no optimizer step changes.

    Raises:
        ConfigError: for peft layers other than LoRA on linear layers.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    # Tied parameters have several names, and each is streamed.
    learning = {name for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    for name, tensor in model.state_dict(keep_vars=True).items():
        layer_name, is_base, leaf = name.rpartition(_BASE + ".")
        if not is_base:
            if not _is_added(name, layers) and (name in learning or not only_trainable):
                yield name, whole(tensor)
            continue
        layer = layers[layer_name]
        # A frozen weight changes too when its LoRA update learns; a bias has no update.
        is_learning = name in learning or (leaf == "weight" and _has_learning_update(layer))
        if is_learning or not only_trainable:
            yield f"{layer_name}.{leaf}", _merged(layer_name, layer, tensor) if leaf == "weight" else whole(tensor)


def _is_added(name: str, layers: dict[str, BaseTunerLayer]) -> bool:
    """Return whether a tensor was added by peft."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in layers for end in range(1, len(parts)))


def _has_learning_update(layer: Any) -> bool:
    """Return whether one of the parameters that peft added to a layer learns."""
    return any(p.requires_grad for name, p in layer.named_parameters() if not name.startswith("base_layer."))


@torch.no_grad()
def _merged(name: str, layer: BaseTunerLayer, base: Tensor) -> Tensor:
    """Return the weight with its low-rank updates, as peft merges them."""
    if not (isinstance(layer, LoraLayer) and isinstance(layer.get_base_layer(), nn.Linear)):
        raise ConfigError(
            f"{name} has a peft layer of class {type(layer).__name__}: only LoRA on linear layers can be merged."
        )
    weight = whole(base)  # (out, in)
    if layer.merged:  # peft added the updates in place
        return weight
    ups: Any = layer.lora_B  # annotated as modules of any kind
    downs: Any = layer.lora_A
    for adapter in layer.active_adapters:
        up, down = whole(ups[adapter].weight), whole(downs[adapter].weight)  # (out, rank), (rank, in)
        weight = weight + (up @ down * layer.scaling[adapter]).to(weight.dtype)
    return weight


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """Return a tensor detached; if its slices lie on several ranks, they are gathered in a collective call."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
