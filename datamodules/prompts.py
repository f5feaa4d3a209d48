"""Prompts for the trainer: read, checked and counted once, before the first step.

    file -> rows -> checked prompts -> prompts that fit -> batches of one rank
                          |                   |
                          +--- rejections ----+-> one line in the log, rejected_<split>.json

Nothing is truncated: a prompt longer than ``max_prompt_tokens`` or than the model can read, with its images expanded to
tokens, is left out, and so is one that the tokenizer or the image processor refuses.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from torch.utils.data import DataLoader

from algorithms.errors import DataError
from algorithms.records import Prompt
from datamodules.reading import ReadingConfig, ReadingDataModule
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import describe_reasons, summary, write_report
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.batches import PromptBatch, PromptBatches
from datamodules.streams.unusable import reject_unusable_prompts

logger = logging.getLogger(__name__)


class PromptDataModule(ReadingDataModule):
    """Steps of every stage receive ``list[Prompt]``. Subclasses replace ``train_dataloader``."""

    # "predict" is not here, because its split is a setting.
    splits_of_stage: Mapping[str, Sequence[str]] = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}

    def __init__(
        self,
        source: PromptFolder,
        reading: ReadingConfig = ReadingConfig(),  # noqa: B008  (frozen)
    ) -> None:
        """Keep the settings; nothing is read yet.

        Args:
            source: where the prompts lie.
            reading: batch size, longest prompt, largest image, folder of reports, split of ``predict``.
        """
        super().__init__(reading)
        self.source = source
        self.answered_uids: frozenset[int] = frozenset()
        self.prompts: dict[str, Sequence[Prompt]] = {}
        self.rejected_fraction: dict[str, float] = {}
        self._stage: str | None = None
        # All of these by split.
        self._rows: dict[str, PromptRows] = {}
        self._measured: set[str] = set()
        self._by_uid: dict[str, dict[int, Prompt]] = {}

    def prepare_data(self) -> None:
        """Let the source make its files; Lightning calls this in one process only."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Read the splits of a stage, unless they have been read, and reject the rows that cannot be used."""
        self._stage = stage
        for split in self.splits_of_stage.get(stage, (self.reading.predict_split,)):
            self._read_split(split)

    @property
    def is_for_training(self) -> bool:
        """Whether this is the data module of a training run, or was not set up yet.

        Lightning loads a checkpoint's data module for every command. Only training has a use for its state, and only
        training runs on as many ranks as wrote it.
        """
        return self._stage in (None, "fit")

    @property
    def column_names(self) -> frozenset[str]:
        """Names of the further columns that any prompt of the splits read so far has."""
        return frozenset(name for prompts in self.prompts.values() for prompt in prompts for name in prompt.columns)

    def skip_answered(self, uids: Collection[int]) -> None:
        """Let ``predict`` leave out the batches all of whose prompts have been answered before.

        Args:
            uids: prompts that a run before this one has answered.
        """
        self.answered_uids = frozenset(uids)

    def prompt(self, split: str, uid: int) -> Prompt:
        """Return the prompt with this uid.

        Raises:
            DataError: when the prompt was rejected or is not in the file.
        """
        # Checkpoints hold uids, so this is where other data than before are noticed.
        if uid not in self._by_uid[split]:
            raise DataError(
                f"prompt {uid} of {self.source.split_file(split)} is needed, but it was rejected or is not there: "
                "a checkpoint can only be resumed with the data that it was written with."
            )
        return self._by_uid[split][uid]

    def train_dataloader(self) -> DataLoader[PromptBatch]:
        """Return the training prompts in file order."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[PromptBatch]:
        """Return the validation prompts."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[PromptBatch]:
        """Return the test prompts."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[PromptBatch]:
        """Return the prompts of ``predict_split``, without the batches that have been answered."""
        return self._loader(self.reading.predict_split, self.answered_uids)

    def _read_split(self, split: str) -> None:
        # A split may be read without a trainer, so without a module that counts tokens. It is measured later.
        is_to_measure = self.trainer is not None and split not in self._measured
        if split in self._rows and not is_to_measure:
            return
        file = self.source.split_file(split)
        if split not in self._rows:
            self._rows[split] = self.source.read(split, max_image_pixels=self.reading.max_image_pixels)
        if is_to_measure:
            self._rows[split] = reject_unusable_prompts(self._rows[split], self.reading.max_prompt_tokens, self.module)
            self._measured.add(split)
        rows = self._rows[split]
        self.prompts[split] = rows.prompts
        self.rejected_fraction[split] = len(rows.rejections) / max(rows.num_rows, 1)
        self._by_uid[split] = {prompt.uid: prompt for prompt in rows.prompts}
        self._report(split, file, rows)

    def _report(self, split: str, file: Path, rows: PromptRows) -> None:
        report = self.report_file(f"rejected_{split}.json", self.source.folder)
        # An earlier report is replaced, because its rows may have been repaired since.
        if self.is_first_rank and (rows.rejections or report.exists()):
            try:
                write_report(report, rows.rejections, rows.num_rows)
            except OSError as error:
                # The data folder may be read-only. The counts are in the log all the same.
                logger.warning("%s cannot be written: %s", report, error)
        if self.is_first_rank and rows.rejections:
            logger.warning("%s: %s; see %s", file, summary(rows.rejections, rows.num_rows), report)
        if not rows.num_rows:
            raise DataError(f"{file} holds no rows, but the split {split} needs at least one.")
        if not rows.prompts:
            raise DataError(
                f"{file} has {rows.num_rows} rows and none can be used: {describe_reasons(rows.rejections)}; "
                f"{report} lists them."
            )

    def _loader(self, split: str, answered_uids: Collection[int] = ()) -> DataLoader[PromptBatch]:
        rank, num_ranks = self.rank
        prompts = self.prompts[split]
        # A rank without a batch would not take part in collective calls, and the others would block.
        if len(prompts) < num_ranks:
            raise DataError(
                f"{self.source.split_file(split)} has {len(prompts)} usable rows for {num_ranks} ranks, but each rank "
                "needs at least one: add rows or use fewer devices."
            )
        return PromptBatches(prompts, self.reading.batch_size, rank, num_ranks).without(answered_uids).loader()
