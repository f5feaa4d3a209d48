"""Builds preference pairs from the completions of ``predict``, and writes them in the MMPR layout with a report."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

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
from callbacks.destination import check_destination
from callbacks.prompt_data import prompt_data
from datamodules.sources.mmpr_writer import write_mmpr
from datamodules.streams.pair_report import PairReport, margins_in_words
from lightning_modules import RolloutModule
from rollouts import RolloutPhase, gather_ranks
from storage import whole_folder


class PairWriter(Callback):
    """Builds pairs from the groups of every batch, and writes them when prediction has ended."""

    def __init__(
        self,
        folder: str | None = None,
        selection: PairSelection = PairSelection(),  # noqa: B008  (frozen)
        score_part: str = "preference",
        name: str = "pairs",
    ) -> None:
        """Set which pairs are written, and the destination.

        Args:
            folder: written when prediction has ended; an older one is replaced. Null: ``pairs`` in the run's folder.
            selection: kinds, pairs per prompt and kind, and threshold. To compare several thresholds, set no threshold
                here and one in each training run.
            score_part: name of the reward part that is the preference reward model.
            name: first part of the names of the files.
        """
        if selection.top_share is not None:
            raise ConfigError(
                f"callbacks.pairs.selection.top_share must be null, got {selection.top_share}: pairs are selected "
                "group by group here. Set data.selection.top_share in the training run."
            )
        self.folder, self.selection = None if folder is None else Path(folder), selection
        self.score_part, self.name = score_part, name
        # Of this rank: all pairs that can be built, and the pairs that the selection keeps.
        self._candidates: list[PreferencePair] = []
        self._pairs: list[PreferencePair] = []

    def check_places(self, command: str) -> None:
        """Refuse a place where nothing can be written."""
        check_destination("callbacks.pairs.folder", self.folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that cannot build the selected kinds of pairs."""
        if not isinstance(pl_module, RolloutModule):
            raise ConfigError(
                f"callbacks.pairs needs a module that samples, got {type(pl_module).__name__}: use "
                "lightning_modules.RolloutModule."
            )
        self.check_places(stage)
        self.selection.check_buildable(self.score_part, pl_module.reward.parts)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the pairs of an earlier prediction."""
        self._candidates, self._pairs = [], []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: RolloutPhase,
        batch: Sequence[Prompt],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Build the pairs of a batch and select from each kind by itself."""
        module = cast(RolloutModule, pl_module)
        candidates = [pair for group in outputs.groups for pair in group_pairs(group, score_part=self.score_part)]
        if "dropout_ntp" in self.selection.kinds:
            # DropoutNTP pairs need a seed, because their continuations are sampled.
            seed = position_seed(module.seed, "pairs", batch_idx, trainer.global_rank)
            candidates += module.dropout_ntp_pairs(outputs, seed=seed)
        self._candidates += candidates
        # selection.max_per_prompt counts pairs of one kind, so that a kind with many pairs leaves room for the other
        # kinds.
        for kind in sorted({pair.kind for pair in candidates}):
            of_kind = [pair for pair in candidates if pair.kind == kind]
            self._pairs += select_pairs(of_kind, self.selection, seed=module.seed)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pairs of all ranks and the report."""
        pairs, candidates = (
            [pair for of_rank in gather_ranks(of_kind) for pair in of_rank]
            for of_kind in (self._pairs, self._candidates)
        )
        if not pairs:
            raise DataError(
                f"callbacks.pairs: no pair could be built with {self.selection}; {margins_in_words(candidates)}. "
                "Sample more per prompt (model.sampling.group_size), lower the threshold or allow more kinds."
            )
        # The run's folder is known only after the start; asking for it is a collective call.
        folder = self.folder or Path(trainer.log_dir or trainer.default_root_dir) / "pairs"
        if not trainer.is_global_zero:
            return
        with whole_folder(folder, replace=True) as draft:
            # write_mmpr creates its folder. Paths in its files may be relative to the folder; they stay valid after
            # renaming, because the draft lies beside its target.
            draft.rmdir()
            write_mmpr(draft, pairs, image_root=prompt_data(trainer).source.folder, name=self.name)
            PairReport.of(candidates, pairs).write(draft / "pairs.json")
