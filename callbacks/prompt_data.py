"""Access to a run's data module, which Lightning attaches to the trainer without declaring it."""

from typing import cast

from lightning.pytorch import Trainer

from datamodules.prompts import PromptDataModule


def prompt_data(trainer: Trainer) -> PromptDataModule:
    """Return the data module of a run whose prompts are read, sampled or scored."""
    # The class is not checked: a user's own data module needs only the attributes that callbacks read.
    return cast(PromptDataModule, trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]
