"""Writes the trained model in Hugging Face format, whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import Protocol, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy

from algorithms import ConfigError


class SavesPretrained(Protocol):
    """A module that can write itself in Hugging Face format."""

    def save_pretrained(self, folder: str) -> None:
        """Write weights, config and processor; called on all ranks, for one to write."""
        ...


class ExportPolicy(Callback):
    """Saves the model when training has ended, for ``from_pretrained`` and vLLM."""

    def __init__(self, folder: str) -> None:
        """Set the destination.

        Args:
            folder: written when training has ended; an older one is replaced.
        """
        self.folder = Path(folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot be exported before training it."""
        if not hasattr(pl_module, "save_pretrained"):
            raise ConfigError(f"callbacks.export cannot save {type(pl_module).__name__}: it has no save_pretrained.")
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ConfigError(
                "callbacks.export cannot gather weights under strategy fsdp (FSDP1): use configs/hardware/fsdp2.yaml, "
                "or switch it off with --callbacks.export=null."
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write beside the destination, then move into place; all ranks give their part of the weights."""
        if trainer.interrupted:
            return
        draft = self.folder.with_name(f"{self.folder.name}.draft-{os.getpid()}")
        if trainer.is_global_zero:
            draft.mkdir(parents=True)
        cast(SavesPretrained, pl_module).save_pretrained(str(draft))
        if trainer.is_global_zero:
            self._move_into_place(draft)

    def _move_into_place(self, draft: Path) -> None:
        if self.folder.exists():
            replaced = self.folder.with_name(f"{self.folder.name}.replaced-{os.getpid()}")
            self.folder.rename(replaced)
            shutil.rmtree(replaced)
        draft.rename(self.folder)
