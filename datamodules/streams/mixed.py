"""Assigns each position of a stream to a part of a mixture: with exact shares, in an order that depends on the seed.

Positions form blocks. In every block each part has the same number of places, in an order that is a function of (seed,
purpose, block). So the part of a position, and the number of earlier positions of this part, are known without going
through the stream.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from algorithms import ConfigError, DataError, Prompt, position_generator
from datamodules.sources.shards import PART_BITS
from datamodules.streams.shuffled import ShuffledRows

BLOCK = 1024


class PartSchedule:
    """Assigns the positions of a stream to the parts of a mixture."""

    def __init__(self, weights: Mapping[int, float], *, seed: int, purpose: str) -> None:
        """Compute the places of each part.

        Args:
            weights: shares of the parts, by number; they need not add up to 1.
            seed: seed of the order.
            purpose: name of the ordered sequence.

        Raises:
            ConfigError: a part would never be drawn.
        """
        self.seed, self.purpose = seed, purpose
        self.num_places = _places(weights)
        # (BLOCK,): the part of each place, before shuffling.
        self._parts = torch.cat([torch.full((count,), part) for part, count in self.num_places.items()])
        self._block: tuple[int, Tensor] | None = None

    def at(self, position: int) -> tuple[int, int]:
        """Return the part of a position, and the number of earlier positions of this part."""
        if len(self.num_places) == 1:
            return next(iter(self.num_places)), position
        block, place = divmod(position, BLOCK)
        if self._block is None or self._block[0] != block:
            generator = position_generator(self.seed, f"mixture of {self.purpose}", block)
            self._block = (block, self._parts[torch.randperm(BLOCK, generator=generator)])
        parts = self._block[1]
        part = int(parts[place])
        return part, block * self.num_places[part] + int((parts[:place] == part).sum())


class MixedRows:
    """Endless passes over each part of a data set, in shares; the rows of a batch are a pure function of its number."""

    def __init__(
        self,
        rows_of_part: Mapping[int, Sequence[int]],
        weights: Mapping[int, float],
        *,
        per_batch: int,
        seed: int,
        rank: int,
        world_size: int,
        purpose: str = "prompt order",
    ) -> None:
        """Describe the stream.

        Args:
            rows_of_part: rows of each part, by number.
            weights: shares of the parts.
            per_batch: rows of one batch on one rank.
            seed: seed of the order.
            rank: this process.
            world_size: number of processes; they take turns.
            purpose: name of the ordered sequence; different purposes have different orders.
        """
        self.rows_of_part, self.per_batch = rows_of_part, per_batch
        self.rank, self.world_size = rank, world_size
        self._schedule = PartSchedule(weights, seed=seed, purpose=purpose)
        self._orders = {
            part: ShuffledRows(
                len(rows), per_batch=1, seed=seed, rank=0, world_size=1, purpose=f"{purpose} of part {part}"
            )
            for part, rows in rows_of_part.items()
        }

    def rows(self, number: int) -> list[int]:
        """Return the rows of a batch."""
        first = (number * self.world_size + self.rank) * self.per_batch
        found: list[int] = []
        for position in range(first, first + self.per_batch):
            part, count = self._schedule.at(position)
            found.append(self.rows_of_part[part][self._orders[part].rows(count)[0]])
        return found


def row_order(
    prompts: Sequence[Prompt],
    weights: Mapping[int, float],
    *,
    per_batch: int,
    seed: int,
    rank: int,
    world_size: int,
    purpose: str = "prompt order",
) -> ShuffledRows | MixedRows:
    """Return the order of training prompts: shuffled, and with several parts mixed by weight.

    Args:
        prompts: the prompts; the uid of a prompt contains its part.
        weights: shares of the parts.
        per_batch: rows of one batch on one rank.
        seed: seed of the order.
        rank: this process.
        world_size: number of processes.
        purpose: name of the ordered sequence.

    Raises:
        DataError: a part has no prompt left.
    """
    if len(weights) == 1:
        return ShuffledRows(
            len(prompts), per_batch=per_batch, seed=seed, rank=rank, world_size=world_size, purpose=purpose
        )
    rows: dict[int, list[int]] = {part: [] for part in weights}
    for row, prompt in enumerate(prompts):
        rows[prompt.uid >> PART_BITS].append(row)
    empty = [part for part, found in rows.items() if not found]
    if empty:
        raise DataError(f"data.source: part {empty[0] + 1} of the mixture has no training prompt that can be used.")
    return MixedRows(rows, weights, per_batch=per_batch, seed=seed, rank=rank, world_size=world_size, purpose=purpose)


def _places(weights: Mapping[int, float]) -> dict[int, int]:
    """Return the number of places of each part in a block, rounded so that they add up to the block."""
    total = sum(weights.values())
    exact = {part: weight / total * BLOCK for part, weight in weights.items()}
    places = {part: int(share) for part, share in exact.items()}
    missing = BLOCK - sum(places.values())
    for part in sorted(exact, key=lambda part: (places[part] - exact[part], part))[:missing]:
        places[part] += 1
    never = [part for part, count in places.items() if count == 0]
    if never:
        raise ConfigError(
            f"data.source: the smallest weight of a mixture is 1/{BLOCK} of the sum, got "
            f"{weights[never[0]]:g} of {total:g}: its rows would never be drawn. Leave the part out."
        )
    return places
