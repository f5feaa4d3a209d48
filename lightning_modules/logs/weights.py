"""Estimates from a sample which share of the learning weights a step has changed.

When rounding drops the updates of a run, loss and norm of the gradient look as usual; only the share of changed weights
shows it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

# Numbers that are sampled from each tensor.
_SAMPLED = 1024


@torch.no_grad()
def sampled_weights(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return a copy of about 1,024 evenly spaced numbers of each tensor, or of this rank's slice of it."""
    return [_sample(tensor).clone() for tensor in tensors]


@torch.no_grad()
def changed_and_all(before: Sequence[Tensor], tensors: Sequence[Tensor]) -> Tensor:
    """Return (2,): estimates of how many numbers of the tensors have changed, and of how many numbers there are."""
    shares = [(old != _sample(new)).double().mean() for old, new in zip(before, tensors, strict=True)]
    sizes = [local(tensor).numel() for tensor in tensors]
    # A rank may have an empty slice of a small tensor, and the mean over an empty tensor is NaN.
    changed = sum(share * size for share, size in zip(shares, sizes, strict=True) if size)
    return torch.stack([torch.as_tensor(changed, device=tensors[0].device).double(), _count(sizes, tensors[0])])


def _count(sizes: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(float(sum(sizes)), dtype=torch.double, device=like.device)


def _sample(tensor: Tensor) -> Tensor:
    flat = local(tensor).detach().flatten()
    # The stride is odd: rows have even lengths, so an even stride would sample only some columns.
    return flat[:: max(1, flat.numel() // _SAMPLED) | 1]


def local(tensor: Tensor) -> Tensor:
    """Return a tensor, or this rank's slice of a sharded one."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
