"""Checkpoints from which a run resumes exactly: only right after an optimizer step, and always whole.

    step=4.ckpt.draft-...  --rename-->  step=4.ckpt  <--link--  last.ckpt        then: remove all but the newest few

A process may be killed between any two of these operations. The next run into the folder removes the rest.
"""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from algorithms import check_at_least
from storage import remove, remove_drafts, replace_link, whole_file

_SUFFIX = ".ckpt"


class WholeFileIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it; Lightning would write to ``$TMPDIR`` first."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint completely or not at all."""
        with whole_file(Path(path)) as draft:
            # Written directly to the disk, because Lightning would hold a second copy in memory.
            torch.save(checkpoint, draft)


class StepCheckpoint(ModelCheckpoint):
    """Keeps the newest checkpoints and a link ``last.ckpt``; with ``--ckpt_path=last`` one command starts and resumes.

    Lightning's ``ModelCheckpoint`` may also write between two accumulated micro-batches, for example at the first batch
    after a resume. A checkpoint holds no gradients, so a run that resumes from it would lose the accumulated gradients.
    """

    def __init__(self, every_n_train_steps: int = 50, keep: int = 2, dirpath: str | None = None) -> None:
        """Set how often a checkpoint is written, and how many stay.

        Args:
            every_n_train_steps: optimizer steps between two checkpoints; one more is written after the last step.
            keep: newest checkpoints that stay. Checkpoints of earlier runs in the same folder are not counted, and they
                stay as well.
            dirpath: folder of the checkpoints; null: ``checkpoints`` in the run's log folder.
        """
        check_at_least("callbacks.checkpoint.every_n_train_steps", every_n_train_steps, 1)
        check_at_least("callbacks.checkpoint.keep", keep, 1)
        super().__init__(
            dirpath=dirpath,
            filename="{step}",
            # With monitor="step" and mode="max", Lightning's best checkpoints are the newest ones.
            monitor="step",
            mode="max",
            save_top_k=keep,
            save_last="link",
            every_n_train_steps=every_n_train_steps,
        )
        # Names of the checkpoints of this run and of the runs that it continues, oldest first.
        self.written: list[str] = []

    @property
    def folder(self) -> Path:
        """Where the checkpoints lie; known after ``setup``."""
        assert self.dirpath is not None
        return Path(self.dirpath)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder, and make Lightning write checkpoints beside their targets."""
        super().setup(trainer, pl_module, stage)
        # Only Lightning's default class is replaced: a class that a user has set in trainer.plugins stays.
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeFileIO()

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's state, and the names of this run's checkpoints."""
        return super().state_dict() | {"written": self.written}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the names of the run's checkpoints, where they lie in the same folder."""
        super().load_state_dict(state_dict)
        if state_dict["dirpath"] == self.dirpath:
            self.written = list(state_dict.get("written", ()))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the checkpoints that a killed run wrote after the checkpoint that this run continues."""
        super().on_train_start(trainer, pl_module)
        if trainer.ckpt_path is not None:
            self.written += self._left_behind(Path(trainer.ckpt_path).resolve())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when a checkpoint is due and no gradients are accumulated, and after the last step."""
        # This batch is the last of its optimizer step.
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            if trainer.global_step == trainer.max_steps != self._last_global_step_saved:
                candidates = self._monitor_candidates(trainer)
                self._save_topk_checkpoint(trainer, candidates)
                self._save_last_checkpoint(trainer, candidates)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the rest of a run that was killed after its last save; without a step to train nothing is saved."""
        if self.written:
            if trainer.is_global_zero:
                remove_drafts(self.folder, _SUFFIX)
            self._remove_older(trainer)

    def _save_topk_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        """Write a checkpoint. Lightning's method would add a number to a name that exists, also after a kill."""
        # Rank 0 decides, because other ranks may not see the folder.
        path = self.folder / trainer.strategy.broadcast(self._name(trainer.global_step))
        self.written = [name for name in self.written if name != path.name] + [path.name]
        # Changed before saving, because the checkpoint contains the names.
        self.best_model_path, self.last_model_path = str(path), str(self.folder / f"last{_SUFFIX}")
        if trainer.is_global_zero:
            remove_drafts(self.folder, _SUFFIX)
            # Slices are written into a folder, where they must not mix with slices of a killed run.
            if path.is_dir():
                remove(path)
        trainer.strategy.barrier()
        self._save_checkpoint(trainer, str(path))

    def _save_last_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        """Let ``last.ckpt`` point to the newest checkpoint, then remove all but the newest ``keep``."""
        # Lightning calls this method also at the end of training, perhaps without a checkpoint.
        if not self._last_checkpoint_saved:
            return
        if trainer.is_global_zero:
            replace_link(self.folder / f"last{_SUFFIX}", Path(self._last_checkpoint_saved))
        self._remove_older(trainer)
        trainer.strategy.barrier()

    def _remove_older(self, trainer: Trainer) -> None:
        """Remove all but the newest ``keep`` of this run's checkpoints."""
        # As in Lightning, the checkpoint that the user has resumed from stays.
        kept = {*self.written[-self.save_top_k :], *([Path(trainer.ckpt_path).name] if trainer.ckpt_path else [])}
        if trainer.is_global_zero:
            for name in self.written:
                if name not in kept:
                    remove(self.folder / name)
        self.written = self.written[-self.save_top_k :]

    def _name(self, step: int) -> str:
        """Return the name of a step's checkpoint; it has a number when an earlier run left one of the same name."""
        name, number = f"step={step}{_SUFFIX}", 1
        while name not in self.written and (self.folder / name).exists():
            name, number = f"step={step}-v{number}{_SUFFIX}", number + 1
        return name

    def _left_behind(self, start: Path) -> list[str]:
        """Return the names of the checkpoints that were written at or after a given one, oldest first."""
        if start.parent != self.folder.resolve() or not start.exists():
            return []
        since = start.stat().st_mtime_ns
        times = {path: path.stat().st_mtime_ns for path in self.folder.glob(f"step=*{_SUFFIX}")}
        later = sorted((path for path in times if times[path] >= since), key=lambda path: times[path])
        return [path.name for path in later if path.name not in self.written]
