"""Weighted draws without replacement from many slots in O(log n) per draw, all draws of a batch side by side.

A complete binary tree whose leaves are the weights and whose inner nodes are the sums of their two children.
A draw walks from the root to a leaf, left or right by a uniform number. After a change each ancestor of the leaf is
computed again from its two children. So the sums depend on the present leaves only, and rounding errors of earlier
changes do not add up.

Shapes: N slots, K of them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class SumTree:
    """The weights of N slots, all 0 at first."""

    def __init__(self, num_slots: int) -> None:
        """Create ``num_slots`` slots of weight 0; 16 to 32 bytes each."""
        # Heap order: the root is node 1, the children of node i are 2i and 2i + 1, the leaves come last.
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
        # Two slots may share ancestors: these are written twice, with the same sum.
        self.sums[nodes] = weights.double()
        for _ in range(self.depth):
            nodes = nodes // 2
            self.sums[nodes] = self.sums[2 * nodes] + self.sums[2 * nodes + 1]

    def total_without(self, slots: Int[Tensor, " K"]) -> float:
        """Return the sum of all weights but these; exactly 0 when no other slot has a weight."""
        # Summed by the tree: a difference from the total would have the rounding error of the whole sum.
        weights = self.weights(slots)
        self.set(slots, torch.zeros(len(slots)))
        rest = self.total
        self.set(slots, weights)
        return rest

    def draw_distinct(self, num_draws: int, *, generator: torch.Generator) -> Int[Tensor, " K"]:
        """Return different slots in the order drawn, each in proportion to its weight among those not yet drawn.

        Drawing with replacement and skipping repeats has the same distribution. So each round draws as many slots as
        are still missing, and a slot that was drawn gets weight 0 for the next round.

        Args:
            num_draws: how many; fewer are returned when fewer have a weight above 0.
            generator: source of the uniform numbers.
        """
        found = torch.empty(0, dtype=torch.long)
        weights = torch.empty(0, dtype=torch.double)
        while len(found) < num_draws and self.total > 0.0:
            drawn = _in_order_of_first_appearance(self._draw(num_draws - len(found), generator))
            found, weights = torch.cat([found, drawn]), torch.cat([weights, self.weights(drawn)])
            self.set(drawn, torch.zeros(len(drawn)))
        # The weights come back: drawn slots stay in the tree.
        self.set(found, weights)
        return found

    def _draw(self, num_draws: int, generator: torch.Generator) -> Int[Tensor, " K"]:
        """Return slots drawn with replacement, all of them one level further at a time."""
        rest = torch.rand(num_draws, dtype=torch.double, generator=generator) * self.sums[1]
        nodes = torch.ones(num_draws, dtype=torch.long)
        for _ in range(self.depth):
            left = self.sums[2 * nodes]
            # Rounding may make the rest as large as the left subtree where the right one has weight 0: go left there.
            to_right = (rest >= left) & (self.sums[2 * nodes + 1] > 0.0)
            rest = torch.where(to_right, rest - left, rest)
            nodes = 2 * nodes + to_right.long()
        return nodes - self.first_leaf


def _in_order_of_first_appearance(slots: Int[Tensor, " K"]) -> Int[Tensor, " D"]:
    """Return each slot once, at the place where it comes first."""
    # A stable sort puts equal slots next to each other, the earliest first.
    order = slots.argsort(stable=True)
    is_first = torch.ones_like(slots, dtype=torch.bool)
    is_first[1:] = slots[order][1:] != slots[order][:-1]
    return slots[order[is_first].sort().values]
