"""Writes preference pairs built from what ``predict`` sampled, in the MMPR layout, with an account of them."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from algorithms import ConfigError, DataError, PairSelection, PreferencePair, Prompt, group_pairs, select_pairs
from datamodules.pair_report import PairReport, margins_in_words
from datamodules.pair_writer import write_mmpr
from rollouts import RolloutPhase, gather_ranks

Kind = Literal["correctness", "format", "reward_model", "dropout_ntp"]


class BuildsPairs(Protocol):
    """What the module must offer for pairs against blind continuations."""

    seed: int

    def dropout_ntp_pairs(self, phase: RolloutPhase, *, seed: int) -> list[PreferencePair]:
        """Return pairs of completions against ones that went on without the images."""
        ...


class PairWriter(Callback):
    """Builds pairs from the groups of every batch, and writes them when prediction has ended."""

    def __init__(
        self,
        folder: str,
        selection: PairSelection = PairSelection(),  # noqa: B008  (frozen)
        score_part: str = "preference",
        name: str = "pairs",
    ) -> None:
        """Set what is written where.

        Args:
            folder: written when prediction has ended; an older one is replaced.
            selection: kinds, pairs per prompt and kind, and threshold; leave the threshold to training where several
                are to be compared.
            score_part: name of the reward part that is the preference reward model.
            name: begins the names of the files.
        """
        self.folder, self.selection = Path(folder), selection
        self.score_part, self.name = score_part, name
        self._pairs: list[PreferencePair] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot build what is wanted."""
        if "dropout_ntp" in self.selection.kinds and not hasattr(pl_module, "dropout_ntp_pairs"):
            raise ConfigError(
                f"callbacks.pairs.selection.kinds has dropout_ntp, which {type(pl_module).__name__} cannot make: "
                "use lightning_modules.RolloutModule."
            )

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with no pair."""
        self._pairs = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Sequence[Prompt],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Build the pairs of a batch; every kind gets its own share of a prompt."""
        phase: RolloutPhase = outputs
        module = cast(BuildsPairs, pl_module)
        candidates = [pair for group in phase.groups for pair in group_pairs(group, score_part=self.score_part)]
        if "dropout_ntp" in self.selection.kinds:
            candidates += module.dropout_ntp_pairs(phase, seed=module.seed + batch_idx)
        for kind in sorted({pair.kind for pair in candidates}):
            of_kind = [pair for pair in candidates if pair.kind == kind]
            self._pairs += select_pairs(of_kind, self.selection, seed=module.seed)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pairs of all ranks and their account."""
        pairs = [pair for of_rank in gather_ranks(self._pairs) for pair in of_rank]
        if not pairs:
            raise DataError(
                f"callbacks.pairs: no pair could be built with {self.selection}; {margins_in_words(pairs)}. Sample "
                "more per prompt (model.group_size), lower the threshold or allow more kinds."
            )
        if not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        replaced = self.folder.with_name(f"{self.folder.name}.replaced-{os.getpid()}")
        # Roots in meta.json may be relative to the folder, so it is written under its own name.
        if self.folder.exists():
            self.folder.rename(replaced)
        try:
            write_mmpr(self.folder, pairs, image_root=data.source.folder, name=self.name)
        except BaseException:
            if replaced.exists():
                replaced.rename(self.folder)
            raise
        PairReport.of(pairs, pairs).write(self.folder / "pairs.json")
        shutil.rmtree(replaced, ignore_errors=True)
