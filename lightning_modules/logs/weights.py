"""How many of the weights that learn a step has changed, from a sample of them.

Loss and norm of the gradient look as usual in a run whose updates are rounded away. The share of changed weights shows
it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

# Numbers that are looked at in each tensor.
_SAMPLED = 1024


@torch.no_grad()
def sampled_weights(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return a copy of about 1,024 evenly spaced numbers of each tensor; of a sharded one, of this rank's slice."""
    return [_sample(tensor).clone() for tensor in tensors]


@torch.no_grad()
def changed_and_all(before: Sequence[Tensor], tensors: Sequence[Tensor]) -> Tensor:
    """Return (2,): about how many numbers of the tensors differ from the sample, and how many there are."""
    shares = [(old != _sample(new)).double().mean() for old, new in zip(before, tensors, strict=True)]
    sizes = [local(tensor).numel() for tensor in tensors]
    # A rank may have no slice of a small tensor; the mean over nothing is NaN.
    changed = sum(share * size for share, size in zip(shares, sizes, strict=True) if size)
    return torch.stack([torch.as_tensor(changed, device=tensors[0].device).double(), _count(sizes, tensors[0])])


def _count(sizes: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(float(sum(sizes)), dtype=torch.double, device=like.device)


def _sample(tensor: Tensor) -> Tensor:
    flat = local(tensor).detach().flatten()
    # Odd: an even stride would look at a few columns only, since rows have even lengths.
    return flat[:: max(1, flat.numel() // _SAMPLED) | 1]


def local(tensor: Tensor) -> Tensor:
    """Return a tensor, or this rank's slice of a sharded one."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
