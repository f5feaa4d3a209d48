"""Prompts for the trainer: read, checked and counted once, before the first step.

    file -> rows -> checked prompts -> prompts that fit -> batches of one rank
                          |                   |
                          +--- rejections ----+-> one line in the log, rejected_<split>.json

Prompts are never truncated. A prompt is left out when it is longer than ``max_prompt_tokens`` or than the model can
read, with its images expanded to tokens, or when the tokenizer or the image processor refuses it.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from algorithms.errors import ConfigError, DataError
from algorithms.records import Prompt
from datamodules.reading import ReadingConfig, ReadingDataModule
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import describe_reasons, summary, write_report
from datamodules.sources.drawn_folder import DrawnFolder
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.batches import PromptBatch, PromptBatches
from datamodules.streams.findings import (
    check_answers,
    warn_of_duplicates,
    warn_of_files_beside,
    warn_of_hidden_choices,
    warn_of_unknown_words,
)
from datamodules.streams.overlap import overlap_of
from datamodules.streams.prompt_lengths import RememberedLengths
from datamodules.streams.unusable import CountsTokens, reject_unusable_prompts

logger = logging.getLogger(__name__)


class PromptDataModule(ReadingDataModule):
    """Steps of every stage receive ``list[Prompt]``. Subclasses replace ``train_dataloader``."""

    # The split of "predict" is a setting.
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
        # All of these are by split.
        self._rows: dict[str, PromptRows] = {}
        self._measured: set[str] = set()
        self._by_uid: dict[str, dict[int, Prompt]] = {}
        # Rows as read; they are dropped after the comparison of splits.
        self._prints: dict[str, PromptRows] = {}
        self._report_folder: Path | None = None
        self._lengths: RememberedLengths | None = None

    def check_places(self, command: str) -> None:
        """Check the source too; see ``ReadingDataModule``."""
        super().check_places(command)
        self.source.check_places(self._splits(command))

    def prepare_data(self) -> None:
        """Let the source make its files; Lightning calls this in one process only."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Read the splits of a stage that have not been read yet, and reject rows that cannot be used."""
        self._stage = stage
        for split in self._splits(stage):
            # Training may have no validation, but a command for a split needs this split.
            if not (stage == "fit" and split == "val" and not self.source.has(split)):
                self._read_split(split)
        self._tell_overlap()

    def _splits(self, stage: str) -> Sequence[str]:
        return self.splits_of_stage.get(stage, (self.reading.predict_split,))

    @property
    def is_for_training(self) -> bool:
        """Whether this data module belongs to a training run, or has not been set up yet.

        Lightning loads a checkpoint's data module for every command. Only training uses the state, and only training
        must run on as many ranks as wrote it.
        """
        return self._stage in (None, "fit")

    @property
    def column_names(self) -> frozenset[str]:
        """Names of all further columns in the splits that were read so far."""
        return frozenset(name for prompts in self.prompts.values() for prompt in prompts for name in prompt.columns)

    def skip_answered(self, uids: Collection[int]) -> None:
        """Let ``predict`` leave out batches whose prompts all have been answered before.

        Args:
            uids: prompts that an earlier run has answered.
        """
        self.answered_uids = frozenset(uids)

    def prompt(self, split: str, uid: int) -> Prompt:
        """Return the prompt with this uid.

        Raises:
            DataError: when the prompt was rejected or is not in the file.
        """
        # Checkpoints hold uids, so data that differ from those of the checkpoint are noticed here.
        if uid not in self._by_uid[split]:
            raise DataError(
                f"prompt {uid} of {self.source.split_file(split)} is needed, but it was rejected or is not there: "
                "a checkpoint can only be resumed with the data that it was written with."
            )
        return self._by_uid[split][uid]

    def train_dataloader(self) -> DataLoader[PromptBatch]:
        """Return the training prompts in file order."""
        return self._loader("train")

    def val_dataloader(self) -> Any:
        """Return the validation prompts; an empty list for a training run without validation prompts."""
        # Lightning takes an empty list for "no validation"; None would be an error.
        return self._loader("val") if "val" in self.prompts else []

    def test_dataloader(self) -> DataLoader[PromptBatch]:
        """Return the test prompts."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[PromptBatch]:
        """Return the prompts of ``predict_split``, without the batches that have been answered."""
        return self._loader(self.reading.predict_split, self.answered_uids)

    def _read_split(self, split: str) -> None:
        # Without a trainer there is no module that counts tokens; such a split is measured later.
        is_to_measure = self.trainer is not None and split not in self._measured
        if split in self._rows and not is_to_measure:
            return
        if not self.source.has(split):
            raise ConfigError(f"data.source.{split} is null, so there are no prompts for this: name the split's files.")
        file = self.source.split_file(split)
        # Read and measured apart: checks of the data come before the model is built.
        if split not in self._rows:
            self._rows[split] = self._checked(split, self._read(split))
        if is_to_measure:
            self._rows[split] = self._fitting(self._rows[split])
            if self.is_first_rank:
                warn_of_unknown_words(self._rows[split], str(file), self.module)
            self._measured.add(split)
        rows = self._rows[split]
        self.prompts[split] = rows.prompts
        self.rejected_fraction[split] = len(rows.rejections) / max(rows.num_rows, 1)
        self._by_uid[split] = {prompt.uid: prompt for prompt in rows.prompts}
        self._report(split, file, rows)

    def _read(self, split: str) -> PromptRows:
        """Read the rows of a split; data modules that stream read only some training rows."""
        if split == "train" and self.source.streamed:
            raise ConfigError(
                f"data.source.streamed must be false with {type(self).__name__}, got true: only ExperienceDataModule "
                "reads its training prompts while training."
            )
        return self.source.read(split, max_image_pixels=self.reading.max_image_pixels)

    def _fitting(self, rows: PromptRows) -> PromptRows:
        """Leave out the prompts that the module cannot read."""
        return reject_unusable_prompts(rows, self.reading.max_prompt_tokens, self._measuring(rows))

    def _measuring(self, rows: PromptRows) -> object:
        """Return the module with the lengths of these prompts, which all ranks measure together."""
        if not isinstance(self.module, CountsTokens):
            return self.module
        if self._lengths is None:
            self._lengths = RememberedLengths(self.module, self.source.notes_folder)
        self._lengths.measure(rows.prompts, *self.rank)
        return self._lengths

    def _checked(self, split: str, rows: PromptRows) -> PromptRows:
        """Report what is missing or duplicate in the rows of a split, and return the rows with their template."""
        file = str(self.source.split_file(split))
        check_answers(rows, file, self.module, is_trained_on=split == "train")
        self._prints[split] = rows
        if self.is_first_rank:
            warn_of_duplicates(rows, file)
            if split in self.source.present_files():
                warn_of_files_beside(self.source.split_files(split))
        shown = replace(rows, prompts=tuple(map(self.reading.template.applied, rows.prompts)))
        warn_of_hidden_choices(shown, file)
        return shown

    def _tell_overlap(self) -> None:
        """Warn of validation prompts that are training prompts too, and list them."""
        if not self.is_first_rank or not {"train", "val"} <= self._prints.keys():
            return
        found = overlap_of(self._prints["train"], self._prints["val"])
        report = Path(self._report_folder or self.source.notes_folder) / "overlap_val.json"
        # A small drawn world repeats itself, and a user cannot change this.
        found.tell(str(self.source.split_file("val")), report, is_warning=not isinstance(self.source, DrawnFolder))
        self._prints.clear()

    def _report(self, split: str, file: Path, rows: PromptRows) -> None:
        report = self.report_file(f"rejected_{split}.json", self.source.notes_folder)
        self._report_folder = report.parent
        # An earlier report is always replaced, because its rows may have been repaired since.
        if self.is_first_rank and (rows.rejections or report.exists()):
            try:
                write_report(report, rows.rejections, rows.num_rows)
            except OSError as error:
                # The folder may be read-only; the counts are in the log too.
                logger.warning("%s cannot be written: %s", report, error)
        if self.is_first_rank and rows.rejections:
            logger.warning("%s: %s; see %s", file, summary(rows.rejections, rows.num_rows), report)
        if not rows.num_rows:
            raise DataError(f"{file} holds no rows, but the split {split} needs at least one.")
        if not rows.prompts:
            found = f"; {rows.audit.found()}" if rows.audit is not None else ""
            raise DataError(
                f"{file} has {rows.num_rows} rows and none can be used: {describe_reasons(rows.rejections)}{found}; "
                f"{report} lists them."
            )

    def _loader(self, split: str, answered_uids: Collection[int] = ()) -> DataLoader[PromptBatch]:
        rank, num_ranks = self.rank
        prompts = self.prompts[split]
        # A rank without a batch would not take part in collective calls, and the other ranks would wait for ever.
        if len(prompts) < num_ranks:
            raise DataError(
                f"{self.source.split_file(split)} has {len(prompts)} usable rows for {num_ranks} ranks, but each rank "
                "needs at least one: add rows or use fewer devices."
            )
        return PromptBatches(prompts, self.reading.batch_size, rank, num_ranks).without(answered_uids).loader()
