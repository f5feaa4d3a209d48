"""Writes the trained model in Hugging Face format; other programs see the whole folder or none."""

from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy

from algorithms import ConfigError
from callbacks.destination import check_destination
from storage import whole_folder


@runtime_checkable
class SavesPretrained(Protocol):
    """A module that can write itself in Hugging Face format."""

    def save_pretrained(self, folder: str) -> None:
        """Write weights, config and processor; a collective call, in which rank 0 writes."""
        ...


class ExportPolicy(Callback):
    """Saves the model when a run has ended, for ``from_pretrained`` and vLLM."""

    def __init__(self, folder: str | None = None, after: Literal["fit", "validate", "test", "predict"] = "fit") -> None:
        """Set the destination, and the command after which the model is written.

        Args:
            folder: written when the run has ended; an older one is replaced. Null: ``export`` in the run's own folder.
            after: the command that exports; ``validate`` with ``--ckpt_path`` exports a checkpoint.
        """
        self.folder = None if folder is None else Path(folder)
        self.after = after

    def check_places(self, command: str) -> None:
        """Refuse a place where nothing can be written."""
        check_destination("callbacks.export.folder", self.folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse, before training, a module or a strategy that cannot be exported."""
        if not isinstance(pl_module, SavesPretrained):
            raise ConfigError(f"callbacks.export cannot save {type(pl_module).__name__}: it has no save_pretrained.")
        self.check_places(stage)
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
        """Export after another command."""
        # With limit_val_batches = 0 Lightning does not call the hooks at the end of an evaluation, but it calls this
        # one.
        if self.after == stage != "fit":
            self._export(trainer, pl_module)

    def _export(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a draft beside the destination, then rename it; a collective call."""
        # After Ctrl-C or an exception the weights are not those of a finished run.
        if trainer.interrupted:
            return
        module = cast(SavesPretrained, pl_module)
        # The run's folder is known only after the start; asking for it is a collective call.
        folder = self.folder or Path(trainer.log_dir or trainer.default_root_dir) / "export"
        if not trainer.is_global_zero:
            # This rank takes part in gathering the weights, but does not write.
            module.save_pretrained(str(folder))
            return
        with whole_folder(folder, replace=True) as draft:
            module.save_pretrained(str(draft))
