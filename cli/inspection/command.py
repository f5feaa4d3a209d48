"""The command ``inspect``: a trainer with one more method, so that the command line reads it like ``fit``.

python train.py inspect --config configs/qwen2_5_vl/grpo.yaml [--page data.html] [--num_prompts 12]
"""

import sys
from pathlib import Path

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from algorithms import ConfigError, DataError, check_at_least
from cli.inspection.findings import inspected
from cli.inspection.page import write_page
from datamodules.prompts import PromptDataModule

INSPECT = {"inspect": {"model", "datamodule"}}
"""The command, with the arguments of its method that the command line itself gives."""


class InspectingTrainer(Trainer):
    """A trainer that can inspect data without training."""

    def inspect(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        page: str = "runs/inspect.html",
        num_prompts: int = 12,
        num_measured: int = 256,
    ) -> None:
        """Write a page about the data of a run: prompts, lengths, answers, rejected rows, overlaps.

        Args:
            model: the module; its weights are not loaded.
            datamodule: the data.
            page: path of the page, which needs no other file.
            num_prompts: number of prompts of each split on the page.
            num_measured: number of prompts of each split, evenly spaced, whose lengths are measured and whose answers
                are read.

        Raises:
            ConfigError: the data module has no prompts.
            DataError: no split can be read.
        """
        check_at_least("num_prompts", num_prompts, 1, "a page shows prompts")
        check_at_least("num_measured", num_measured, 1, "lengths are measured on prompts")
        if not isinstance(datamodule, PromptDataModule):
            raise ConfigError(
                f"data.class_path must be a data module of prompts to be inspected, got {type(datamodule).__name__}."
            )
        if self.local_rank == 0:
            datamodule.prepare_data()
        found = inspected(model, datamodule, num_prompts=num_prompts, num_measured=num_measured)
        if self.is_global_zero:
            write_page(Path(page), found)
            sys.stdout.write(f"{found.in_words()}\nsee {Path(page).absolute()}\n")
        if not any(split.rows for split in found.splits):
            raise DataError("; ".join(split.error or split.name for split in found.splits if not split.note))
