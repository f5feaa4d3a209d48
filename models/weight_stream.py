"""Yields a policy's weights one tensor at a time, whole and under Hugging Face names, also when they are sharded.

    shards on R ranks -> gathered tensor -> + LoRA, or LoRA beside it -> (name, tensor) -> the next one

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

# peft replaces a layer by one of its own and keeps the original layer inside of it, under this name.
_BASE = ".base_layer"


def stream_weights(
    model: nn.Module, *, only_trainable: bool = False, merge_lora: bool = True
) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of a model's ``state_dict`` whole and detached, as it is now.

    Names and order are those of the same model without LoRA, tied tensors under each of their names, in the dtype in
    which they are kept. LoRA updates are added to the weights that they belong to. On one device a tensor without LoRA
    is the model's own tensor: copy it if it must outlive the next optimizer step.

    Without ``merge_lora`` each weight comes as it is, followed by its update in two matrices whose product it is, scale
    included: ``LAYER.lora_A.weight`` (rank, in) and ``LAYER.lora_B.weight`` (out, rank), the names that peft saves.

    With sharded weights every step of the iteration is a collective call: all ranks must iterate to the end, also those
    that do not use the tensors.

    Args:
        model: the policy's ``model``.
        only_trainable: leave out the tensors that no optimizer step changes.
        merge_lora: add LoRA updates to their weights; false leaves them apart.

    Raises:
        ConfigError: for peft layers other than LoRA on linear layers.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    # Tied parameters have several names, and each name is streamed.
    learning = {name for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    for name, tensor in model.state_dict(keep_vars=True).items():
        layer_name, is_base, leaf = name.rpartition(_BASE + ".")
        if not is_base:
            if not _is_added(name, layers) and (name in learning or not only_trainable):
                yield name, whole(tensor)
            continue
        layer = layers[layer_name]
        # A bias has no update.
        has_update = leaf == "weight"
        # An update that peft has added in place cannot be separated from its weight.
        is_apart = has_update and not merge_lora and not layer.merged
        changes = has_update and (not only_trainable or _has_learning_update(layer))
        # A frozen weight changes too when an update that learns is added to it.
        if name in learning or not only_trainable or (changes and not is_apart):
            is_sum = has_update and not is_apart
            yield f"{layer_name}.{leaf}", _merged(layer_name, layer, tensor) if is_sum else whole(tensor)
        if changes and is_apart:
            down, up = _update(layer_name, layer)
            yield f"{layer_name}.lora_A.weight", down
            yield f"{layer_name}.lora_B.weight", up


def tied_names(model: nn.Module) -> dict[str, str]:
    """Return for each further name of a tied tensor its first one, both as ``stream_weights`` yields them."""
    first_names: dict[int, str] = {}
    names = {name.replace(_BASE + ".", "."): tensor for name, tensor in model.state_dict(keep_vars=True).items()}
    firsts = {name: first_names.setdefault(id(tensor), name) for name, tensor in names.items()}
    return {name: first for name, first in firsts.items() if name != first}


def _is_added(name: str, layers: dict[str, BaseTunerLayer]) -> bool:
    """Return whether a tensor was added by peft."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in layers for end in range(1, len(parts)))


def _has_learning_update(layer: Any) -> bool:
    """Return whether one of the parameters that peft added to a layer learns."""
    return any(p.requires_grad for name, p in layer.named_parameters() if not name.startswith("base_layer."))


@torch.no_grad()
def _merged(name: str, layer: Any, base: Tensor) -> Tensor:
    """Return the weight with its low-rank updates, as peft merges them."""
    _check_linear(name, layer)
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
def _update(name: str, layer: Any) -> tuple[Tensor, Tensor]:
    """Return (ranks, in) and (out, ranks), whose product is the sum of a layer's updates."""
    _check_linear(name, layer)
    adapters = layer.active_adapters
    downs = [whole(layer.lora_A[adapter].weight) for adapter in adapters]
    ups = [whole(layer.lora_B[adapter].weight) * layer.scaling[adapter] for adapter in adapters]
    return torch.cat(downs), torch.cat(ups, dim=1)


def _check_linear(name: str, layer: Any) -> None:
    if not (isinstance(layer, LoraLayer) and isinstance(layer.get_base_layer(), nn.Linear)):
        raise ConfigError(
            f"{name} has a peft layer of class {type(layer).__name__}: only LoRA on linear layers can be merged, or "
            "sampled with."
        )


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """Return a tensor detached; if its slices lie on several ranks, they are gathered in a collective call."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
