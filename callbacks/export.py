"""Writes the trained model in Hugging Face format, whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import Literal, Protocol, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from algorithms import ConfigError


class SavesPretrained(Protocol):
    """A module that can write itself in Hugging Face format."""

    def save_pretrained(self, folder: str) -> None:
        """Write weights, config and processor."""
        ...


class ExportPolicy(Callback):
    """Saves the model when a run has ended, for ``from_pretrained`` and vLLM."""

    def __init__(self, folder: str, after: Literal["fit", "validate", "test", "predict"] = "fit") -> None:
        """Set destination and time.

        Args:
            folder: written when the run has ended; an older one is replaced.
            after: the command that exports; with ``validate`` and ``--ckpt_path`` a checkpoint is written out.
        """
        self.folder = Path(folder)
        self.after = after

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot be exported before training it."""
        if not hasattr(pl_module, "save_pretrained"):
            raise ConfigError(f"callbacks.export cannot save {type(pl_module).__name__}: it has no save_pretrained.")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export after training."""
        if self.after == "fit":
            self._export(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Export after another command; unlike an evaluation's own hooks this one is called with no batches too."""
        if self.after == stage != "fit":
            self._export(trainer, pl_module)

    def _export(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write beside the destination, then move into place."""
        if not trainer.is_global_zero or trainer.interrupted:
            return
        draft = self.folder.with_name(f"{self.folder.name}.draft-{os.getpid()}")
        draft.mkdir(parents=True)
        cast(SavesPretrained, pl_module).save_pretrained(str(draft))
        if self.folder.exists():
            replaced = self.folder.with_name(f"{self.folder.name}.replaced-{os.getpid()}")
            self.folder.rename(replaced)
            shutil.rmtree(replaced)
        draft.rename(self.folder)
