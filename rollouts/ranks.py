"""State that differs from rank to rank, gathered so that rank 0's checkpoint holds all of it."""

from collections.abc import Sequence
from typing import Any

import torch.distributed as dist

from algorithms import ConfigError


def gather_ranks(state: Any) -> list[Any]:
    """Return every rank's state in rank order; a collective call when several ranks run."""
    if not (dist.is_available() and dist.is_initialized()):
        return [state]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, state)
    return gathered


def own_place() -> tuple[int, int]:
    """Return this process's rank and the number of ranks."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def own_state(gathered: Sequence[Any], rank: int, world_size: int) -> Any:
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
