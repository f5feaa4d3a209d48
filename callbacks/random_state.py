"""Saves the global random generators in checkpoints, so that code which draws from them can resume exactly too."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rollouts import gather_ranks, state_of_rank


class RandomState(Callback):
    """Saves and restores the generators of Python, NumPy and torch, of every rank and device.

    The project's own draws have generators of their own, seeded by their position in the run. Dropout, and rewards or
    callbacks of a user, may draw from the global generators.
    """

    def __init__(self) -> None:
        """Start without a saved state."""
        self._loaded: list[Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all ranks; a collective call."""
        return {"ranks": gather_ranks(_capture())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts."""
        # They are restored later, because Lightning's own setup before training may draw numbers too.
        self._loaded = state_dict["ranks"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore this rank's state."""
        if self._loaded is not None:
            _restore(state_of_rank(self._loaded, trainer.global_rank, trainer.world_size))
            self._loaded = None


def _capture() -> dict[str, Any]:
    """Return the states of this process's generators."""
    version, internal, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002  (the global one is what must be saved)
    return {
        "python": [version, list(internal), gauss],
        # Tensors and plain values only: torch.load with weights_only=True refuses NumPy arrays.
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore(state: dict[str, Any]) -> None:
    """Set this process's generators to saved states."""
    version, internal, gauss = state["python"]
    # A checkpoint holds lists; random needs tuples, NumPy 32-bit keys.
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
