"""Access to a run's data module, which Lightning attaches to the trainer without declaring it."""

from typing import cast

from lightning.pytorch import Trainer

from datamodules.prompts import PromptDataModule


def prompt_data(trainer: Trainer) -> PromptDataModule:
    """Return the data module of a run whose prompts are read, sampled or scored."""
    # No check of its class: a data module of a user's own needs only the attributes that are read.
    return cast(PromptDataModule, trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]
