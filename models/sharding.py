"""Spreads a policy's weights over ranks with FSDP2: every rank keeps a slice of each tensor, also of frozen ones.

    block: forward -> slices of all ranks gathered in param_dtype -> computed -> whole weights freed
    backward:         gathered again -> gradients averaged over ranks in reduce_dtype -> each rank keeps its slice

A block is one layer of the tower or of the language model, or the adapter. All other weights (embeddings, head, norms)
belong to the root, which is the policy itself. Gathering is a collective call: all ranks must run the model equally
often.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from transformers import PreTrainedModel
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
    """Where this rank keeps its slices."""

    param_dtype: Dtype = "float32"
    """Precision of gathered weights and activations; slices that learn stay in 32 bits for the optimizer."""

    reduce_dtype: Dtype = "float32"
    """Precision in which gradients are averaged over ranks."""

    frozen_dtype: Dtype = "float32"
    """Precision in which slices that do not learn are kept; no optimizer needs 32 bits of them."""


def shard(root: nn.Module, model: PreTrainedModel, sharding: Sharding, *, entry: str) -> None:
    """Spread a model over the ranks, in place. Weights may still be on the meta device.

    Args:
        root: the ``Policy`` or ``RewardModel`` that holds the model; it also manages the parameters outside of blocks.
        model: the Hugging Face model inside of it.
        sharding: ranks and precisions.
        entry: the method of root through which training runs the model.

    Raises:
        ConfigError: for a model in which no layer is marked by transformers as one.
    """
    frozen_dtype = getattr(torch, sharding.frozen_dtype)
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.to(frozen_dtype)
    precision = (getattr(torch, sharding.param_dtype), getattr(torch, sharding.reduce_dtype))
    inside = MixedPrecisionPolicy(param_dtype=precision[0], reduce_dtype=precision[1])
    # Blocks first: the root then takes only the parameters that no block has.
    for block in blocks(model):
        fully_shard(block, mesh=sharding.mesh, mp_policy=inside)
    # The root's inputs are prompts; casting them would copy them. The root frees its gathered weights too, because they
    # are out of date after the next optimizer step.
    outside = MixedPrecisionPolicy(param_dtype=precision[0], reduce_dtype=precision[1], cast_forward_inputs=False)
    fully_shard(root, mesh=sharding.mesh, mp_policy=outside, reshard_after_forward=True)
    # FSDP2 hooks into ``forward`` only, and training calls another method of the root.
    register_fsdp_forward_method(root, entry)


def blocks(model: PreTrainedModel) -> list[nn.Module]:
    """Return the layers of tower and language model, and the adapter's modules.

    Raises:
        ConfigError: for a model in which no layer is marked by transformers as one.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(
            f"trainer.strategy FSDP2Strategy cannot shard {type(model).__name__}: it has no layers of transformers' "
            "class GradientCheckpointingLayer, and gathering it as one piece would save no memory. Use strategy ddp."
        )
    # A language model without vision has no adapter.
    adapter = part_modules(model).get("adapter", [])
    # Qwen3-VL's adapter has a list of modules that run one by one.
    pieces = [piece for module in adapter for piece in (module if isinstance(module, nn.ModuleList) else [module])]
    return [*layers, *(piece for piece in pieces if not isinstance(piece, GradientCheckpointingLayer))]


def is_sharded(module: nn.Module) -> bool:
    """Return whether a module's weights are spread over ranks by FSDP2."""
    return any(isinstance(submodule, FSDPModule) for submodule in module.modules())


@contextmanager
def whole_weights(policy: nn.Module) -> Iterator[None]:
    """Keep all weights gathered on every rank, in ``param_dtype``, until the context ends.

    Both ends are collective calls; between them ranks run the model independently of each other, as sampling needs:
    completions have different lengths. Costs the memory of the whole model. Nothing happens for a policy that is not
    sharded.
    """
    shards = [module for module in policy.modules() if isinstance(module, FSDPModule)]
    if shards:
        policy()  # the first module that runs becomes FSDP2's root, which must be the policy
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
    """Return for each number the largest over all ranks; without sharded weights, the numbers themselves.

    Ranks with sharded weights must run the model equally often; with this call they agree on how often.
    """
    # Ranks with whole weights run independently, and a collective call would make them wait.
    if not is_sharded(module):
        return numbers
    agreed = torch.tensor(numbers, dtype=torch.long, device=next(module.parameters()).device)
    dist.all_reduce(agreed, op=dist.ReduceOp.MAX)
    return agreed.tolist()


def same_on_all_ranks(module: nn.Module, device: torch.device) -> None:
    """Copy the weights of the first rank to every rank, before they are sharded; a collective call.

    Args:
        module: module with whole weights, on any device.
        device: device of the process group; one tensor at a time is moved there.
    """
    for tensor in module.state_dict().values():
        sent = tensor.to(device)
        dist.broadcast(sent, src=0)
        tensor.copy_(sent)
