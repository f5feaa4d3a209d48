"""Settings for reading prompts and pairs, and the base class of all data modules that have these settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule, LightningModule

from algorithms import ConfigError, check_at_least
from datamodules.rows.prompt_template import PromptTemplate
from datamodules.streams.batches import PromptBatch
from storage import check_writable

# Names of splits, the same in every source; files may have other names.
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """Which rows are kept, how many rows form a batch, and where rejected rows are listed."""

    batch_size: int = 64
    """Prompts per batch and rank, in every stage whose steps receive prompts."""

    max_prompt_tokens: int | None = None
    """Longest prompt that is kept, in tokens, each image expanded to its tokens; null keeps all. The module's
    ``prompt_length`` counts them."""

    max_image_pixels: int = 50_000_000
    """Largest width times height of an image; Pillow's own limit is 89 million."""

    report_folder: str | None = None
    """Folder for reports about rejected rows and numbers of pairs; null: the run's log folder, or without a trainer the
    notes of these data in ``runs/notes/``."""

    template: PromptTemplate = PromptTemplate()  # noqa: RUF009  (frozen)
    """Texts around each question: a system turn, the choices, how to answer. Pairs from files are not changed."""

    predict_split: Literal["train", "val", "test"] = "test"
    """The split that ``predict`` reads."""

    def __post_init__(self) -> None:
        check_at_least("data.reading.batch_size", self.batch_size, 1, "a batch must hold a prompt")
        check_at_least(
            "data.reading.max_image_pixels", self.max_image_pixels, 1, "otherwise every image would be rejected"
        )
        if self.max_prompt_tokens is not None:
            check_at_least(
                "data.reading.max_prompt_tokens", self.max_prompt_tokens, 1, "otherwise every prompt would be rejected"
            )
        # The parser checks a Literal, but a call from Python does not.
        if self.predict_split not in SPLITS:
            raise ConfigError(
                f"data.reading.predict_split must be one of {', '.join(SPLITS)}, got {self.predict_split!r}: a source "
                "has no other split."
            )


class ReadingDataModule(LightningDataModule):
    """The base class of data modules of prompts and of pairs. Steps receive their batches as plain lists."""

    def __init__(self, reading: ReadingConfig) -> None:
        """Keep the settings; nothing is read yet."""
        super().__init__()
        self.reading = reading

    @property
    def rank(self) -> tuple[int, int]:
        """This process's rank and the number of ranks; (0, 1) without a trainer."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    @property
    def is_first_rank(self) -> bool:
        """Whether this process logs and writes reports."""
        return self.rank[0] == 0

    @property
    def module(self) -> LightningModule | None:
        """The module that learns from these data; None without a trainer."""
        return self.trainer.lightning_module if self.trainer is not None else None

    def check_places(self, command: str) -> None:
        """Refuse missing files and folders that cannot be written, before models are built for minutes.

        Args:
            command: fit, validate, test or predict.

        Raises:
            ConfigError: names key, path and reason.
            DataError: names file and reason.
        """
        if self.reading.report_folder is not None:
            folder = Path(self.reading.report_folder).expanduser()
            try:
                check_writable(folder)
            except OSError as error:
                raise ConfigError(
                    f"data.reading.report_folder is {folder}, where nothing can be written: {error.strerror or error}."
                ) from error

    def report_file(self, name: str, notes_folder: Path) -> Path:
        """Return where a report is written; a collective call.

        Args:
            name: name of the file.
            notes_folder: folder for the report when there is neither a report folder nor a log folder.
        """
        # Trainer.log_dir broadcasts rank 0's folder, so every rank must read it, also a rank that does not write.
        log_dir = self.trainer.log_dir if self.trainer is not None else None
        return Path(self.reading.report_folder or log_dir or notes_folder).expanduser() / name

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Unpack a ``PromptBatch`` into a list; everything else that a loader yields is moved as usual."""
        if isinstance(batch, PromptBatch):
            # Modules expect plain lists, so no step receives a PromptBatch.
            return list(batch)
        return super().transfer_batch_to_device(batch, device, dataloader_idx)
