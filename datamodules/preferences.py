"""Preference pairs for the trainer: pairs only, for a reward model or MPO, or pairs with prompts for evaluating MPO."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms import ConfigError, PairSelection, PreferencePair
from datamodules.prompts import PromptDataModule
from datamodules.reading import ReadingConfig, ReadingDataModule
from datamodules.rows.prompt_template import PromptTemplate
from datamodules.sources.pair_source import PairSource
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.pair_store import PairSettings, PairStore
from datamodules.streams.shuffled import CountedLoader


class StoredPairs:
    """The interface for MPO of a data module whose pairs come from files and never change."""

    store: PairStore

    refresh_every: int | None = None
    """Training steps between two rollouts that build pairs; None: there are no rollouts."""

    @property
    def notes_folder(self) -> Path:
        """Folder for caches about the pairs."""
        return self.store.source.notes_folder

    @property
    def known_pairs(self) -> Sequence[PreferencePair]:
        """All pairs of training and validation."""
        # Held-out pairs are included, because a cached reference scores all pairs before the first step.
        return [pair for split in self.store.pairs.values() for pair in split]

    @property
    def kept_fraction(self) -> float:
        """Share of the usable training pairs that have a selected kind and a margin of at least the threshold."""
        return self.store.kept_fraction

    def pairs_of(self, batch: Any) -> Sequence[PreferencePair]:
        """Return the pairs of a training or validation batch, which is itself the list of pairs."""
        # transfer_batch_to_device has unpacked the batch.
        return batch


class PairDataModule(StoredPairs, ReadingDataModule):
    """Steps receive ``list[PreferencePair]``: shuffled for training, held out for validation."""

    def __init__(
        self,
        pairs: PairSource,
        pairs_per_batch: int = 32,
        selection: PairSelection = PairSelection(),  # noqa: B008  (frozen)
        held_out: float = 0.05,
        seed: int = 0,
        max_pair_tokens: int | None = None,
        reading: ReadingConfig = ReadingConfig(),  # noqa: B008
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
            reading: largest image and folder of reports; the other keys are for prompts.
        """
        super().__init__(reading)
        # Refused, because a setting without effect would look like a limit that all pairs satisfy.
        if reading.max_prompt_tokens is not None:
            raise ConfigError(
                f"data.reading.max_prompt_tokens must be null with PairDataModule, got {reading.max_prompt_tokens}: "
                "it reads pairs and no prompts alone. Set data.max_pair_tokens, which counts prompt plus completion."
            )
        if reading.template != PromptTemplate():
            raise ConfigError(
                "data.reading.template must be left out with PairDataModule: pairs are asked as their files say, "
                "because their completions answer that text."
            )
        settings = PairSettings(
            pairs_per_batch=pairs_per_batch,
            selection=selection,
            held_out=held_out,
            seed=seed,
            max_pair_tokens=max_pair_tokens,
        )
        self.store = PairStore(pairs, settings, max_image_pixels=reading.max_image_pixels)

    def check_places(self, command: str) -> None:
        """Check the source of pairs too; see ``ReadingDataModule``."""
        super().check_places(command)
        if command == "fit":
            self.store.source.check_places()

    def prepare_data(self) -> None:
        """Let the source make its files; Lightning calls this in one process only."""
        self.store.source.prepare()

    def setup(self, stage: str) -> None:
        """Read the pairs of a stage; a split with files of its own is read alone."""
        split = {"validate": "val", "test": "test"}.get(stage)
        # The loader reports missing test pairs, because the module may have a better message about the command.
        if (split is not None and self.store.read_held_out(split, self.module)) or split == "test":
            return
        report = self.report_file("pairs.json", self.store.source.notes_folder)
        self.store.read(self.module, report, is_first_rank=self.is_first_rank)

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return shuffled batches, pass after pass."""
        return self.store.train_loader(*self.rank)

    def val_dataloader(self) -> Any:
        """Return the held-out pairs."""
        # For Lightning an empty list means no validation; None would be an error.
        return self.store.val_loader(self.store.settings.pairs_per_batch, *self.rank) or []

    def test_dataloader(self) -> Any:
        """Return the test pairs.

        Raises:
            ConfigError: there are no test pairs.
        """
        if "test" not in self.store.pairs:
            raise ConfigError(
                f"data.pairs has no test pairs ({type(self.store.source).__name__} in {self.store.source.folder}): "
                "name their files in data.pairs.test, or run validate."
            )
        return self.store.val_loader(self.store.settings.pairs_per_batch, *self.rank, split="test") or []


class PreferenceDataModule(StoredPairs, PromptDataModule):
    """Trains on pairs as ``PairDataModule``; validation gets prompts and held-out pairs, test gets prompts."""

    # The training prompts are those of the pairs.
    splits_of_stage: Mapping[str, Sequence[str]] = {**PromptDataModule.splits_of_stage, "fit": ("val",)}

    def __init__(
        self,
        source: PromptFolder,
        pairs: PairSource,
        pairs_per_batch: int = 32,
        selection: PairSelection = PairSelection(),  # noqa: B008  (frozen)
        held_out: float = 0.05,
        seed: int = 0,
        max_pair_tokens: int | None = None,
        reading: ReadingConfig = ReadingConfig(),  # noqa: B008
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            source: source of the prompts for validation and test; its training prompts are not used.
            pairs: where the pairs lie.
            pairs_per_batch: pairs of one training step on one rank.
            selection: threshold, kinds and number of pairs per prompt.
            held_out: share of the prompts, in [0, 1), whose pairs are for validation; ignored where the source of pairs
                has a validation file.
            seed: seed of the order of pairs and of the draw per prompt.
            max_pair_tokens: longest prompt plus completion that is kept, image tokens expanded; null keeps all.
            reading: prompts, or pairs, per batch of validation and test; longest prompt of these; largest image.
        """
        super().__init__(source, reading)
        settings = PairSettings(
            pairs_per_batch=pairs_per_batch,
            selection=selection,
            held_out=held_out,
            seed=seed,
            max_pair_tokens=max_pair_tokens,
        )
        self.store = PairStore(pairs, settings, max_image_pixels=reading.max_image_pixels)

    def check_places(self, command: str) -> None:
        """Check the source of pairs too; see ``ReadingDataModule``."""
        super().check_places(command)
        if command == "fit":
            self.store.source.check_places()

    def prepare_data(self) -> None:
        """Let both sources make their files; Lightning calls this in one process only."""
        super().prepare_data()
        self.store.source.prepare()

    def setup(self, stage: str) -> None:
        """Read prompts, and for training the pairs."""
        super().setup(stage)
        if stage == "fit":
            report = self.report_file("pairs.json", self.store.source.notes_folder)
            self.store.read(self.module, report, is_first_rank=self.is_first_rank)

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return shuffled batches, pass after pass."""
        return self.store.train_loader(*self.rank)

    def val_dataloader(self) -> Any:
        """Return the validation prompts and, as a second loader, the held-out pairs, if there are any."""
        prompts = super().val_dataloader()
        # ``validate`` reads no pairs, because it needs none and their files may be missing.
        pairs = self.store.val_loader(self.reading.batch_size, *self.rank) if self.store.pairs else None
        return prompts if pairs is None else [prompts, pairs]
