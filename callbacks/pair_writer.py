"""Writes preference pairs built from what ``predict`` sampled, in the MMPR layout, with an account of them."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from algorithms import (
    ConfigError,
    DataError,
    PairSelection,
    PreferencePair,
    Prompt,
    group_pairs,
    position_seed,
    select_pairs,
)
from datamodules.sources.mmpr_writer import write_mmpr
from datamodules.streams.pair_report import PairReport, margins_in_words
from lightning_modules import RolloutModule
from rollouts import RolloutPhase, gather_ranks


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
        self._candidates: list[PreferencePair] = []
        self._pairs: list[PreferencePair] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot build what is wanted."""
        if not isinstance(pl_module, RolloutModule):
            raise ConfigError(
                f"callbacks.pairs needs a module that samples, got {type(pl_module).__name__}: use "
                "lightning_modules.RolloutModule."
            )
        self.selection.check_buildable(self.score_part, pl_module.reward.parts)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with no pair."""
        self._candidates, self._pairs = [], []

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
        module = cast(RolloutModule, pl_module)
        candidates = [pair for group in phase.groups for pair in group_pairs(group, score_part=self.score_part)]
        if "dropout_ntp" in self.selection.kinds:
            seed = position_seed(module.seed, "pairs", batch_idx, trainer.global_rank)
            candidates += module.dropout_ntp_pairs(phase, seed=seed)
        self._candidates += candidates
        for kind in sorted({pair.kind for pair in candidates}):
            of_kind = [pair for pair in candidates if pair.kind == kind]
            self._pairs += select_pairs(of_kind, self.selection, seed=module.seed)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pairs of all ranks and their account."""
        pairs, candidates = (
            [pair for of_rank in gather_ranks(of_kind) for pair in of_rank]
            for of_kind in (self._pairs, self._candidates)
        )
        if not pairs:
            raise DataError(
                f"callbacks.pairs: no pair could be built with {self.selection}; {margins_in_words(candidates)}. "
                "Sample more per prompt (model.sampling.group_size), lower the threshold or allow more kinds."
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
        PairReport.of(candidates, pairs).write(self.folder / "pairs.json")
        shutil.rmtree(replaced, ignore_errors=True)
