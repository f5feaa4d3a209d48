"""Weighted draws without replacement from many slots in O(log n) per draw, all draws of a batch side by side.

A complete binary tree whose leaves are the weights and whose inner nodes are the sums of their two children.
A draw walks from the root to a leaf, left or right by a uniform number. Changing a leaf adds up its ancestors
anew from their children, so the sums depend on the leaves only and not on what the tree went through.

Shapes: N slots, K of them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class SumTree:
    """The weights of N slots, all 0 at first."""

    def __init__(self, num_slots: int) -> None:
        """Create ``num_slots`` slots of weight 0; 16 to 32 bytes each."""
        self.depth = max(num_slots - 1, 0).bit_length()
        self.first_leaf = 2**self.depth
        self.sums = torch.zeros(2 * self.first_leaf, dtype=torch.double)

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self.sums[1])

    def weights(self, slots: Int[Tensor, " K"]) -> Float[Tensor, " K"]:
        """Return the weights of some slots."""
        return self.sums[slots + self.first_leaf]

    def set(self, slots: Int[Tensor, " K"], weights: Float[Tensor, " K"]) -> None:
        """Change the weights of some slots."""
        nodes = slots + self.first_leaf
        self.sums[nodes] = weights.double()
        for _ in range(self.depth):
            nodes = nodes // 2
            self.sums[nodes] = self.sums[2 * nodes] + self.sums[2 * nodes + 1]

    def draw_distinct(self, num_draws: int, *, generator: torch.Generator) -> Int[Tensor, " K"]:
        """Return different slots in the order drawn, each in proportion to its weight among those not yet drawn.

        Drawing with replacement and passing over what came before has the same distribution. So each round draws
        all that is missing at once, and what it found gets weight 0 for the next round.

        Args:
            num_draws: how many; fewer are returned when fewer have a weight above 0.
            generator: source of the uniform numbers.
        """
        found = torch.empty(0, dtype=torch.long)
        kept = torch.empty(0, dtype=torch.double)
        while len(found) < num_draws and self.total > 0.0:
            drawn = _in_order_of_first_appearance(self._descend(num_draws - len(found), generator))
            found, kept = torch.cat([found, drawn]), torch.cat([kept, self.weights(drawn)])
            self.set(drawn, torch.zeros(len(drawn)))
        self.set(found, kept)
        return found

    def _descend(self, num_draws: int, generator: torch.Generator) -> Int[Tensor, " K"]:
        rest = torch.rand(num_draws, dtype=torch.double, generator=generator) * self.sums[1]
        nodes = torch.ones(num_draws, dtype=torch.long)
        for _ in range(self.depth):
            left = self.sums[2 * nodes]
            # Rounding may leave a little more than the right subtree holds: never step into one of weight 0.
            to_right = (rest >= left) & (self.sums[2 * nodes + 1] > 0.0)
            rest = torch.where(to_right, rest - left, rest)
            nodes = 2 * nodes + to_right.long()
        return nodes - self.first_leaf


def _in_order_of_first_appearance(slots: Int[Tensor, " K"]) -> Int[Tensor, " D"]:
    order = slots.argsort(stable=True)
    is_first = torch.ones_like(slots, dtype=torch.bool)
    is_first[1:] = slots[order][1:] != slots[order][:-1]
    return slots[order[is_first].sort().values]
