"""A policy's weights spread over ranks with FSDP2: every rank keeps a slice of each tensor, frozen ones included.

    block: forward -> slices of all ranks gathered in param_dtype -> computed -> whole weights freed
    backward:         gathered again -> gradients averaged over ranks in reduce_dtype -> each rank keeps its slice

A block is one layer of tower or language model, or the adapter; what is left (embeddings, head, norms) belongs to the
root, which is the policy itself. Gathering is a collective call: all ranks must read the model equally often.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from transformers.modeling_layers import GradientCheckpointingLayer

from algorithms import ConfigError
from models.parts import part_modules

Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """Over which ranks weights are spread, and in which precision they are gathered, reduced and kept."""

    mesh: DeviceMesh
    """One-dimensional: the ranks."""

    device: torch.device
    """Where this rank's slices live."""

    param_dtype: Dtype = "float32"
    """Of gathered weights, activations and so of all computing; slices that learn stay in 32 bits for the optimizer."""

    reduce_dtype: Dtype = "float32"
    """In which gradients are averaged over ranks."""

    frozen_dtype: Dtype = "float32"
    """In which slices that do not learn are kept; no optimizer needs their 32 bits."""


def shard(root: nn.Module, model: Any, sharding: Sharding, *, entry: str) -> None:
    """Spread a model over the ranks, in place. Weights may still be on the meta device.

    Args:
        root: what holds the model, ``Policy`` or ``RewardModel``; parameters outside of blocks become its own.
        model: the Hugging Face model inside of it.
        sharding: how.
        entry: the method of root through which training reads the model.

    Raises:
        ConfigError: for a model without layers of a kind that transformers marks as such.
    """
    frozen_dtype = getattr(torch, sharding.frozen_dtype)
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.to(frozen_dtype)
    precision = (getattr(torch, sharding.param_dtype), getattr(torch, sharding.reduce_dtype))
    inside = MixedPrecisionPolicy(param_dtype=precision[0], reduce_dtype=precision[1])
    for block in blocks(model):
        fully_shard(block, mesh=sharding.mesh, mp_policy=inside)
    # What goes into the root are prompts, which casting would copy. It frees its weights too, or they would be old
    # after the next optimizer step.
    outside = MixedPrecisionPolicy(param_dtype=precision[0], reduce_dtype=precision[1], cast_forward_inputs=False)
    fully_shard(root, mesh=sharding.mesh, mp_policy=outside, reshard_after_forward=True)
    register_fsdp_forward_method(root, entry)


def blocks(model: Any) -> list[nn.Module]:
    """Return the layers of tower and language model, and the adapter's modules."""
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(
            f"trainer.strategy FSDP2Strategy cannot shard {type(model).__name__}: it has no layers of transformers' "
            "class GradientCheckpointingLayer, and gathered as one piece nothing would be saved. Use strategy ddp."
        )
    adapter = part_modules(model).get("adapter", [])
    return [*layers, *(module for module in adapter if not isinstance(module, GradientCheckpointingLayer))]


def is_sharded(module: nn.Module) -> bool:
    """Return whether a module's weights are spread over ranks by FSDP2."""
    return any(isinstance(part, FSDPModule) for part in module.modules())


@contextmanager
def whole_weights(policy: nn.Module) -> Iterator[None]:
    """Have all weights gathered on every rank for a while, in ``param_dtype``; collective at both ends, silent between.

    So ranks may read the model as often as each likes: completions of different lengths wait for nobody. Costs the
    memory of the whole model. Nothing happens for a policy that is not sharded.
    """
    shards = [module for module in policy.modules() if isinstance(module, FSDPModule)]
    if shards:
        policy()  # FSDP2 takes the first module to run for the root, which must be the policy
    for module in shards:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in shards:
            module.reshard()
            module.set_reshard_after_forward(True, recurse=False)


def largest_over_ranks(module: nn.Module, *numbers: int) -> Sequence[int]:
    """Return for each number the largest that a rank has; where weights are not sharded, the numbers themselves.

    Ranks that share weights must agree on how often they read the model.
    """
    if not is_sharded(module):
        return numbers
    agreed = torch.tensor(numbers, dtype=torch.long, device=next(module.parameters()).device)
    dist.all_reduce(agreed, op=dist.ReduceOp.MAX)
    return agreed.tolist()


def same_on_all_ranks(module: nn.Module, device: torch.device) -> None:
    """Give every rank the first one's weights, before they are sharded; a collective call.

    Args:
        module: whole, anywhere.
        device: where the process group works; one tensor at a time goes there.
    """
    for tensor in module.state_dict().values():
        sent = tensor.to(device)
        dist.broadcast(sent, src=0)
        tensor.copy_(sent)


Prepare = Callable[[Any], None]
"""Says which parameters of a policy learn, and adds LoRA."""
