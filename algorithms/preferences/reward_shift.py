"""The reward shift delta of BCO (arXiv:2404.04656), which MPO's quality loss subtracts: a running mean.

Differs from TRL up to 0.28, which had it: every reward has the same weight in delta, there every micro-batch had.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RewardShift:
    """delta of the quality loss: the mean of every implicit reward seen in training, chosen and rejected."""

    total: Float[Tensor, ""]
    """Sum of the rewards, in 64-bit floats: it runs over the whole training."""

    count: Float[Tensor, ""]

    @staticmethod
    def zero() -> "RewardShift":
        """Return the shift before the first batch."""
        # 64 bits from the start: a 32-bit sum stops growing once a new reward is below its last digit.
        return RewardShift(torch.zeros((), dtype=torch.double), torch.zeros((), dtype=torch.double))

    @property
    def value(self) -> Float[Tensor, ""]:
        """delta; 0 before the first batch."""
        # 32 bits, like the rewards that it is subtracted from.
        return (self.total / self.count.clamp_min(1.0)).float()

    def updated(self, total: Tensor, count: Tensor) -> "RewardShift":
        """Return the shift after further rewards, given by their sum and number over all ranks."""
        # Detached: delta is a constant of the loss, and the sum would keep the graphs of all batches alive.
        return RewardShift(self.total + total.detach().to(self.total), self.count + count.to(self.count))
