"""Gathers values that differ from rank to rank, so that every rank has all of them.

Rank 0 writes the checkpoint, so the state of all ranks must be gathered before it can be saved.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch.distributed as dist

from algorithms import ConfigError

T = TypeVar("T")


def rank_and_world_size() -> tuple[int, int]:
    """Return this process's rank and the number of ranks; (0, 1) when one process runs alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def is_first_rank() -> bool:
    """Return whether this is rank 0, also when one process runs alone."""
    return rank_and_world_size()[0] == 0


def gather_ranks(state: T) -> list[T]:
    """Return every rank's state in rank order; a collective call when several ranks run. States must be picklable."""
    if not (dist.is_available() and dist.is_initialized()):
        # One process gets its own object back, without copy and pickling.
        return [state]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, state)
    return gathered


def first_failure(failure: str) -> str:
    """Return the failure of the first rank that failed, or "" if none did, on all ranks; a collective call."""
    return next(filter(None, gather_ranks(failure)), "")


def state_of_rank(gathered: Sequence[T], rank: int, world_size: int) -> T:
    """Return this rank's share of a gathered state.

    Raises:
        ConfigError: when the checkpoint was written by another number of ranks.
    """
    if len(gathered) != world_size:
        raise ConfigError(
            f"the checkpoint was written by {len(gathered)} rank(s) and this run has {world_size}: buffers and "
            "rollouts in flight belong to ranks. Resume with the same trainer.devices x trainer.num_nodes."
        )
    return gathered[rank]
