"""Prompts for the trainer: read, checked and counted once, before the first step.

    file -> rows -> checked prompts -> prompts that fit -> batches of one rank
                          |                   |
                          +--- rejections ----+-> one line in the log, rejected_<split>.json

Nothing is truncated: a prompt longer than ``max_prompt_tokens``, with its images expanded to tokens, is left out.
"""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from algorithms.errors import ConfigError, DataError
from algorithms.records import Prompt
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import Rejection, describe_reasons, summary, write_report
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.batches import PromptBatch, PromptBatches

logger = logging.getLogger(__name__)

SPLITS_OF_STAGE = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}


@runtime_checkable
class CountsTokens(Protocol):
    """What the module must offer when prompts have a longest length."""

    def prompt_length(self, prompt: Prompt) -> int:
        """Return the number of tokens of a prompt as the policy reads it, every image expanded to its tokens."""
        ...


class PromptDataModule(LightningDataModule):
    """Steps of every stage receive ``list[Prompt]``. Subclasses replace ``train_dataloader``."""

    def __init__(
        self,
        source: PromptFolder,
        batch_size: int = 64,
        max_prompt_tokens: int | None = None,
        max_image_pixels: int = 50_000_000,
        report_folder: str | None = None,
        predict_split: Literal["train", "val", "test"] = "test",
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            source: Where the prompts lie.
            batch_size: Prompts per batch and rank.
            max_prompt_tokens: Longest prompt that is kept, counted by the module's ``prompt_length``; null keeps all.
            max_image_pixels: Largest width times height of an image. Pillow allows no more than 89 million.
            report_folder: Where to list rejected rows; null: the run's log folder, without a trainer the data folder.
            predict_split: The prompts that ``predict`` answers.
        """
        super().__init__()
        _check_positive("batch_size", batch_size, "a batch must hold a prompt")
        _check_positive("max_image_pixels", max_image_pixels, "otherwise every image would be rejected")
        if max_prompt_tokens is not None:
            _check_positive("max_prompt_tokens", max_prompt_tokens, "otherwise every prompt would be rejected")
        self.source = source
        self.batch_size = batch_size
        self.max_prompt_tokens = max_prompt_tokens
        self.max_image_pixels = max_image_pixels
        self.report_folder = report_folder
        self.predict_split: str = predict_split
        self.answered_uids: set[int] = set()
        """Prompts that ``predict`` need not answer again; a callback that goes on with a killed run fills it."""
        self.prompts: dict[str, Sequence[Prompt]] = {}
        self.rejected_fraction: dict[str, float] = {}
        self._rows: dict[str, PromptRows] = {}
        self._measured: set[str] = set()
        self._by_uid: dict[str, dict[int, Prompt]] = {}

    @property
    def rank(self) -> tuple[int, int]:
        """This process and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def prepare_data(self) -> None:
        """Let the source make its files; Lightning calls this in one process only."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Read the splits of a stage, unless they have been read, and reject the rows that cannot be used."""
        for split in SPLITS_OF_STAGE.get(stage, (self.predict_split,)):
            self._set_up(split)

    def prompt(self, split: str, uid: int) -> Prompt:
        """Return the prompt with this uid; DataError when it was rejected or never there."""
        if uid not in self._by_uid[split]:
            raise DataError(
                f"prompt {uid} of {self.source.split_file(split)} is wanted, but it was rejected or is not there: "
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
        """Return the prompts of ``predict_split``, without the batches that are answered already."""
        return self._loader(self.predict_split, self.answered_uids)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Give the steps a plain list of prompts; whatever else a loader yields is moved as usual."""
        if isinstance(batch, PromptBatch):
            return list(batch)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _set_up(self, split: str) -> None:
        # A split may have been read without a trainer, hence without a module to count tokens.
        to_measure = self.max_prompt_tokens if self.trainer is not None and split not in self._measured else None
        if split in self._rows and to_measure is None:
            return
        file = self.source.split_file(split)
        if split not in self._rows:
            self._rows[split] = self.source.read(split, max_image_pixels=self.max_image_pixels)
        if self.trainer is not None and to_measure is not None:
            self._rows[split] = reject_long(self._rows[split], to_measure, self.trainer.lightning_module)
            self._measured.add(split)
        rows = self._rows[split]
        self.prompts[split] = rows.prompts
        self.rejected_fraction[split] = len(rows.rejections) / max(rows.num_rows, 1)
        self._by_uid[split] = {prompt.uid: prompt for prompt in rows.prompts}
        self._report(split, file, rows)

    def _report(self, split: str, file: Path, rows: PromptRows) -> None:
        # Trainer.log_dir talks to the other ranks, so every rank must ask.
        log_dir = self.trainer.log_dir if self.trainer is not None else None
        report = Path(self.report_folder or log_dir or self.source.folder).expanduser() / f"rejected_{split}.json"
        is_first_rank = self.trainer is None or self.trainer.is_global_zero
        # An earlier report must not outlive the rows that it complains of.
        if is_first_rank and (rows.rejections or report.exists()):
            try:
                write_report(report, rows.rejections, rows.num_rows)
            except OSError as error:
                logger.warning("%s cannot be written: %s", report, error)
        if is_first_rank and rows.rejections:
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
        if len(prompts) < num_ranks:
            raise DataError(
                f"{self.source.split_file(split)} has {len(prompts)} usable rows for {num_ranks} ranks, but each rank "
                "needs at least one: add rows or use fewer devices."
            )
        return PromptBatches(prompts, self.batch_size, rank, num_ranks).without(answered_uids).loader()


def reject_long(rows: PromptRows, max_prompt_tokens: int, module: object) -> PromptRows:
    """Move the prompts that are longer than allowed to the rejections.

    Args:
        rows: Prompts and rejections so far.
        max_prompt_tokens: Longest prompt that is kept.
        module: Counts the tokens.
    """
    if not isinstance(module, CountsTokens):
        raise ConfigError(
            f"data.max_prompt_tokens must be null with {type(module).__name__}, got {max_prompt_tokens}: this module "
            "has no method prompt_length that counts the tokens of a prompt."
        )
    kept: list[Prompt] = []
    rejections = list(rows.rejections)
    for prompt in rows.prompts:
        num_tokens = module.prompt_length(prompt)
        if num_tokens <= max_prompt_tokens:
            kept.append(prompt)
        else:
            detail = f"{num_tokens} tokens, data.max_prompt_tokens is {max_prompt_tokens}"
            rejections.append(Rejection(prompt.uid, prompt.key, "too many tokens", detail))
    rejections.sort(key=lambda rejection: rejection.row)
    return PromptRows(tuple(kept), tuple(rejections), rows.num_rows)


def _check_positive(name: str, number: int, why: str) -> None:
    if number < 1:
        raise ConfigError(f"data.{name} must be at least 1, got {number}: {why}.")
