"""Demonstrations to imitate: prompts whose rows carry a column ``completion``."""

from collections.abc import Sequence

from algorithms import DataError, Prompt
from datamodules.prompts import PromptDataModule


class DemonstrationDataModule(PromptDataModule):
    """Batches of prompts, each with its completion; training batches come in file order."""

    def setup(self, stage: str) -> None:
        """Read the splits of a stage and refuse a row without a completion."""
        super().setup(stage)
        # An error and not a rejected row, because most likely the whole file is of another kind.
        for split, prompts in self.prompts.items():
            require_completions(prompts, str(self.source.split_file(split)))


def require_completions(prompts: Sequence[Prompt], file: str) -> None:
    """Refuse a file in which a row has no completion.

    Raises:
        DataError: names the first such row.
    """
    for prompt in prompts:
        if not isinstance(prompt.columns.get("completion"), str):
            raise DataError(f"{file}: row {prompt.key} has no text in 'completion', which is what is to be imitated.")
