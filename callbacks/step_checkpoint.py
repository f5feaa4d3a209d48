"""Checkpoints from which a run resumes exactly: only right after an optimizer step."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from algorithms import check_at_least


class StepCheckpoint(ModelCheckpoint):
    """Keeps the newest checkpoints and a link ``last.ckpt``; with ``--ckpt_path=last`` one command starts and resumes.

    Lightning's ``ModelCheckpoint`` may also write between two accumulated micro-batches, for example at the first batch
    after a resume. A checkpoint holds no gradients, so the accumulated ones are lost in a run that resumes from it.
    """

    def __init__(self, every_n_train_steps: int = 50, keep: int = 2, dirpath: str | None = None) -> None:
        """Set how often a checkpoint is written, and how many stay.

        Args:
            every_n_train_steps: optimizer steps between two checkpoints.
            keep: newest checkpoints that stay.
            dirpath: folder of the checkpoints; null: ``checkpoints`` in the run's log folder.
        """
        check_at_least("callbacks.checkpoint.every_n_train_steps", every_n_train_steps, 1)
        check_at_least("callbacks.checkpoint.keep", keep, 1)
        super().__init__(
            dirpath=dirpath,
            filename="{step}",
            # The best of monitor="step" with mode="max" are the newest.
            monitor="step",
            mode="max",
            save_top_k=keep,
            save_last="link",
            every_n_train_steps=every_n_train_steps,
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when a checkpoint is due and no gradients are accumulated."""
        # This batch is the last of its optimizer step.
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
