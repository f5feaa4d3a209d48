"""Writes the trained model in Hugging Face format, whole or not at all."""

from pathlib import Path
from typing import Literal, Protocol, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy

from algorithms import ConfigError
from storage import whole_folder


class SavesPretrained(Protocol):
    """A module that can write itself in Hugging Face format."""

    def save_pretrained(self, folder: str) -> None:
        """Write weights, config and processor; called on all ranks, for one to write."""
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
        if isinstance(trainer.strategy, FSDPStrategy):
            raise ConfigError(
                "callbacks.export cannot gather weights under strategy fsdp (FSDP1): use configs/hardware/fsdp2.yaml, "
                "or switch it off with --callbacks.export=null."
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export after training."""
        if self.after == "fit":
            self._export(trainer, pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Export after another command; unlike an evaluation's own hooks this one is called with no batches too."""
        if self.after == stage != "fit":
            self._export(trainer, pl_module)

    def _export(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write beside the destination, then move into place; all ranks give their part of the weights."""
        if trainer.interrupted:
            return
        module = cast(SavesPretrained, pl_module)
        if not trainer.is_global_zero:
            # This rank gives its part of the weights and writes nothing.
            module.save_pretrained(str(self.folder))
            return
        with whole_folder(self.folder, replace=True) as draft:
            module.save_pretrained(str(draft))
