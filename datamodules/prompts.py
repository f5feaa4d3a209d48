"""Prompts for the trainer: read, checked and counted once, before the first step.

    file -> rows -> checked prompts -> prompts that fit -> batches of one rank
                          |                   |
                          +--- rejections ----+-> one line in the log, rejected_<split>.json

Nothing is truncated: a prompt longer than ``max_prompt_tokens`` or than the model can read, with its images expanded to
tokens, is left out, and so is one that the tokenizer or the image processor refuses.
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
        # As read, until they have been compared.
        self._prints: dict[str, PromptRows] = {}
        self._report_folder: Path | None = None
        self._lengths: RememberedLengths | None = None

    def check_places(self, command: str) -> None:
        """Look at the source too; see ``ReadingDataModule``."""
        super().check_places(command)
        self.source.check_places(self._splits(command))

    def prepare_data(self) -> None:
        """Let the source make its files; Lightning calls this in one process only."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Read the splits of a stage, unless they have been read, and reject the rows that cannot be used."""
        self._stage = stage
        for split in self._splits(stage):
            # Training without validation is fine; a command that asks for a split needs it.
            if not (stage == "fit" and split == "val" and not self.source.has(split)):
                self._read_split(split)
        self._tell_overlap()

    def _splits(self, stage: str) -> Sequence[str]:
        return self.splits_of_stage.get(stage, (self.reading.predict_split,))

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

    def val_dataloader(self) -> Any:
        """Return the validation prompts; nothing for a training run whose source has none."""
        # Lightning takes an empty list for "no validation"; None would be an error.
        return self._loader("val") if "val" in self.prompts else []

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
        if not self.source.has(split):
            raise ConfigError(f"data.source.{split} is null, so there are no prompts for this: name the split's files.")
        file = self.source.split_file(split)
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
        """Read the rows of a split; data modules that stream read some of the training rows."""
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
        """Return the module with its lengths of these prompts measured, on all ranks together."""
        if not isinstance(self.module, CountsTokens):
            return self.module
        if self._lengths is None:
            self._lengths = RememberedLengths(self.module, self.source.notes_folder)
        self._lengths.measure(rows.prompts, *self.rank)
        return self._lengths

    def _checked(self, split: str, rows: PromptRows) -> PromptRows:
        """Tell what is missing or double in the rows of a split, and return them as they are asked."""
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
        # A world that is drawn here repeats itself where it is small, and nobody can repair that.
        found.tell(str(self.source.split_file("val")), report, is_warning=not isinstance(self.source, DrawnFolder))
        self._prints.clear()

    def _report(self, split: str, file: Path, rows: PromptRows) -> None:
        report = self.report_file(f"rejected_{split}.json", self.source.notes_folder)
        self._report_folder = report.parent
        # An earlier report is replaced, because its rows may have been repaired since.
        if self.is_first_rank and (rows.rejections or report.exists()):
            try:
                write_report(report, rows.rejections, rows.num_rows)
            except OSError as error:
                # The place may be read-only. The counts are in the log all the same.
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
        # A rank without a batch would not take part in collective calls, and the others would block.
        if len(prompts) < num_ranks:
            raise DataError(
                f"{self.source.split_file(split)} has {len(prompts)} usable rows for {num_ranks} ranks, but each rank "
                "needs at least one: add rows or use fewer devices."
            )
        return PromptBatches(prompts, self.reading.batch_size, rank, num_ranks).without(answered_uids).loader()
