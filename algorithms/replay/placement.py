"""Which micro-batch of a rollout each sample goes into, so that no sample is used after its last allowed optimizer
step.

Shapes: N samples, M of them.
"""

import torch
from jaxtyping import Int
from torch import Tensor


def placed_in_time(
    order: Int[Tensor, " N"], last_step: Int[Tensor, " N"], *, num_parts: int, parts_per_step: int
) -> list[Int[Tensor, " M"]]:
    """Split samples into micro-batches of equal size, in their order as far as their last steps allow.

    Where more samples are due early than the first micro-batches have room for, those in excess are left out.

    Args:
        order: the samples' numbers, shuffled.
        last_step: for each sample, by its number, the last optimizer step of the rollout (from 0) that may use it.
        num_parts: micro-batches of the rollout.
        parts_per_step: micro-batches of one optimizer step.
    """
    while True:
        waiting = order
        parts: list[Tensor] = []
        # The last micro-batch is filled first: a sample that may be used late may be used early too.
        for part, planned in reversed(list(enumerate(order.tensor_split(num_parts)))):
            fitting = waiting[last_step[waiting] >= part // parts_per_step]
            chosen = fitting[max(0, len(fitting) - len(planned)) :]
            parts.append(chosen)
            waiting = waiting[~torch.isin(waiting, chosen)]
        if not len(waiting):
            return parts[::-1]
        # Samples that no micro-batch took are left out, and sizes are planned anew: no late micro-batch stays half
        # empty.
        order = order[~torch.isin(order, waiting)]
