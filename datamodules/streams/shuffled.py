"""Endless streams whose whole state is a counter, so that a resumed run continues where the killed run stopped."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from algorithms import position_generator


class ShuffledRows:
    """Endless shuffled passes over a data set; the rows of a batch are a pure function of its number."""

    def __init__(
        self, num_rows: int, *, per_batch: int, seed: int, rank: int, world_size: int, purpose: str = "prompt order"
    ) -> None:
        """Describe the stream.

        Args:
            num_rows: size of the data set.
            per_batch: rows of one batch on one rank.
            seed: seed of the order.
            rank: this process.
            world_size: number of processes; their rows do not overlap within a pass.
            purpose: name of the ordered sequence; different purposes have different orders.
        """
        self.num_rows, self.per_batch, self.seed = num_rows, per_batch, seed
        self.rank, self.world_size, self.purpose = rank, world_size, purpose
        # One permutation (num_rows,) for each pass.
        self._orders: dict[int, Tensor] = {}

    def rows(self, number: int) -> list[int]:
        """Return the rows of a batch."""
        # Ranks take turns: batch 0 of rank 0, batch 0 of rank 1, ..., batch 1 of rank 0.
        first = (number * self.world_size + self.rank) * self.per_batch
        return [self._row(position) for position in range(first, first + self.per_batch)]

    def _row(self, position: int) -> int:
        epoch, place = divmod(position, self.num_rows)
        if epoch not in self._orders:
            generator = position_generator(self.seed, self.purpose, epoch)
            # A batch has rows of two passes at most.
            self._orders = {k: v for k, v in self._orders.items() if k == epoch - 1}
            self._orders[epoch] = torch.randperm(self.num_rows, generator=generator)
        return int(self._orders[epoch][place])


class CountedLoader:
    """Yields batch 0, 1, 2, ... It has a length and no workers, and its whole state is the number of the next batch.

    It has a length because Lightning fetches one batch ahead from a loader without length: every rollout would be
    sampled by weights that are one update old.
    """

    def __init__(self, make_batch: Callable[[int], Any]) -> None:
        """Set the function that returns the batch of a number."""
        self.make_batch = make_batch
        self.next_batch = 0

    def __len__(self) -> int:
        """One endless epoch; trainer.max_steps ends the run."""
        return 10**9

    def __iter__(self) -> Iterator[Any]:
        while True:
            number = self.next_batch
            # Counted before the yield: a checkpoint written during the step must already point behind this batch.
            self.next_batch += 1
            yield self.make_batch(number)

    def state_dict(self) -> dict[str, int]:
        """Return the counter."""
        return {"next_batch": self.next_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue at the counter."""
        self.next_batch = state["next_batch"]
