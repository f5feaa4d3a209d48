"""Preference pairs for the trainer: for MPO together with prompts to evaluate on, for a reward model alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from algorithms import PairSelection, PreferencePair
from datamodules.prompts import PromptDataModule
from datamodules.sources.pair_folders import PairSource
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.batches import PromptBatch
from datamodules.streams.pair_store import PairStore
from datamodules.streams.shuffled import CountedLoader


class PairDataModule(LightningDataModule):
    """Steps receive ``list[PreferencePair]``: shuffled for training, held out for validation."""

    def __init__(
        self,
        pairs: PairSource,
        pairs_per_batch: int = 32,
        selection: PairSelection = PairSelection(),  # noqa: B008  (frozen)
        held_out: float = 0.05,
        seed: int = 0,
        max_pair_tokens: int | None = None,
        max_image_pixels: int = 50_000_000,
        report_folder: str | None = None,
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            pairs: where the pairs lie.
            pairs_per_batch: pairs of one step on one rank.
            selection: threshold, kinds and number of pairs per prompt.
            held_out: share of the prompts, in [0, 1), whose pairs are for validation; ignored where the source of pairs
                has a validation file.
            seed: seed of the order of pairs and of the draw per prompt.
            max_pair_tokens: longest prompt plus completion that is kept, image tokens expanded; null keeps all.
            max_image_pixels: largest width times height of an image.
            report_folder: where to write pairs.json; null: the run's log folder.
        """
        super().__init__()
        self.report_folder = report_folder
        self.store = PairStore(
            pairs,
            selection,
            pairs_per_batch=pairs_per_batch,
            held_out=held_out,
            seed=seed,
            max_pair_tokens=max_pair_tokens,
            max_image_pixels=max_image_pixels,
        )

    rank = PromptDataModule.rank

    def prepare_data(self) -> None:
        """Let the source make its files; Lightning calls this in one process only."""
        self.store.source.prepare()

    def setup(self, stage: str) -> None:
        """Read the pairs."""
        read_pairs(self, self.store)

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return shuffled batches, pass after pass."""
        return self.store.train_loader(*self.rank)

    def val_dataloader(self) -> Any:
        """Return the held-out pairs."""
        return self.store.val_loader(self.store.pairs_per_batch, *self.rank) or []

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Give the steps a plain list of pairs."""
        return list(batch) if isinstance(batch, PromptBatch) else batch


class PreferenceDataModule(PromptDataModule):
    """As ``PairDataModule``; but validation and test see prompts, and validation held-out pairs besides."""

    refresh_every: int | None = None
    """The pairs are never built anew."""

    def __init__(
        self,
        source: PromptFolder,
        pairs: PairSource,
        pairs_per_batch: int = 32,
        selection: PairSelection = PairSelection(),  # noqa: B008  (frozen)
        held_out: float = 0.05,
        seed: int = 0,
        max_pair_tokens: int | None = None,
        batch_size: int = 64,
        max_prompt_tokens: int | None = None,
        max_image_pixels: int = 50_000_000,
        report_folder: str | None = None,
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            source: where the prompts of validation and test lie; its training prompts are not used.
            pairs: where the pairs lie.
            pairs_per_batch: pairs of one training step on one rank.
            selection: threshold, kinds and number of pairs per prompt.
            held_out: share of the prompts, in [0, 1), whose pairs are for validation; ignored where the source of pairs
                has a validation file.
            seed: seed of the order of pairs and of the draw per prompt.
            max_pair_tokens: longest prompt plus completion that is kept, image tokens expanded; null keeps all.
            batch_size: prompts, or pairs, per batch of validation and test.
            max_prompt_tokens: longest prompt of validation and test that is kept; null keeps all.
            max_image_pixels: largest width times height of an image.
            report_folder: where to list rejected rows and to write pairs.json; null: the run's log folder.
        """
        super().__init__(source, batch_size, max_prompt_tokens, max_image_pixels, report_folder)
        self.store = PairStore(
            pairs,
            selection,
            pairs_per_batch=pairs_per_batch,
            held_out=held_out,
            seed=seed,
            max_pair_tokens=max_pair_tokens,
            max_image_pixels=max_image_pixels,
        )

    @property
    def pairs_folder(self) -> Path:
        """Where the pairs lie on disk."""
        return self.store.source.folder

    @property
    def known_pairs(self) -> Sequence[PreferencePair]:
        """Every pair that a step may ask for."""
        return [pair for split in self.store.pairs.values() for pair in split]

    @property
    def kept_fraction(self) -> float:
        """Share of the usable training pairs that are of a wanted kind and reach the threshold."""
        return self.store.kept_fraction

    def prepare_data(self) -> None:
        """Let both sources make their files; Lightning calls this in one process only."""
        super().prepare_data()
        self.store.source.prepare()

    def setup(self, stage: str) -> None:
        """Read prompts, and for training the pairs."""
        if stage != "fit":
            super().setup(stage)
            return
        self._set_up("val")
        read_pairs(self, self.store)

    def pairs_of(self, batch: Any) -> Sequence[PreferencePair]:
        """Return the pairs of a training or validation batch, which is those pairs."""
        return batch

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return shuffled batches, pass after pass."""
        return self.store.train_loader(*self.rank)

    def val_dataloader(self) -> Any:
        """Return the validation prompts and the held-out pairs, if there are any."""
        prompts = super().val_dataloader()
        pairs = self.store.val_loader(self.batch_size, *self.rank) if self.store.pairs else None
        return prompts if pairs is None else [prompts, pairs]


def read_pairs(data: Any, store: PairStore) -> None:
    """Have a store read its pairs for the trainer of a data module, if it has one."""
    trainer = data.trainer
    # Trainer.log_dir talks to the other ranks, so every rank must ask.
    log_dir = trainer.log_dir if trainer is not None else None
    module = trainer.lightning_module if trainer is not None else None
    store.read(module, data.report_folder or log_dir, is_first_rank=data.rank[0] == 0)
