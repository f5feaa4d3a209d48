"""Prompts in a folder on disk: one file per split, and the images that they name.

my_data/
    train.jsonl         {"question": "How many?", "image": "images/1.png", "answer": 3}
    val.jsonl           ``.parquet`` works as well; ``datamodules.rows.prompt_rows`` has the columns
    images/1.png
"""

from pathlib import Path

from algorithms.errors import ConfigError
from datamodules.rows.prompt_rows import PromptRows, read_prompts
from datamodules.sources.split_files import find_file, require_file


class PromptFolder:
    """A source of prompts.

    Subclasses that draw or convert their own data override ``prepare``; those with columns of other names ``read``.
    """

    def __init__(self, path: str, train: str = "train", val: str = "val", test: str = "test") -> None:
        """Name the folder and its files; nothing is read yet.

        Args:
            path: the data folder.
            train: file of the training prompts, without ``.jsonl`` or ``.parquet``.
            val: file of the validation prompts; may be the same as another one.
            test: file of the test prompts.
        """
        if not path.strip():
            raise ConfigError(f"data.source.path must name a folder, got {path!r}: prompts are read from there.")
        # As typed, for messages; ``folder`` is the place.
        self.path = path
        # File name without suffix, by split.
        self.stems: dict[str, str] = {"train": train, "val": val, "test": test}

    @property
    def folder(self) -> Path:
        """The data folder, with ``~`` expanded."""
        return Path(self.path).expanduser().absolute()

    def prepare(self) -> None:
        """Make the files, if they are not there yet. Called once, by one process, before any split is read."""

    def split_file(self, split: str) -> Path:
        """Return the file of a split: ``.jsonl`` if there is one, else ``.parquet``.

        Args:
            split: "train", "val" or "test".

        Raises:
            ConfigError: The folder is not there.
            DataError: The folder has no file for the split.
        """
        return require_file(self.folder, self.stems[split], split=split, key="data.source", path=self.path)

    def present_files(self) -> dict[str, Path]:
        """Return the files that are there by split; the folder may be missing."""
        # Without errors: a user may have no test split, and a folder that is drawn later has no file yet.
        found = {split: find_file(self.folder, stem) for split, stem in self.stems.items()}
        return {split: file for split, file in found.items() if file is not None}

    def read(self, split: str, *, max_image_pixels: int) -> PromptRows:
        """Read and check the rows of a split; raises like ``split_file``.

        Args:
            split: "train", "val" or "test".
            max_image_pixels: largest width times height of an image.
        """
        return read_prompts(self.split_file(split), self.folder, max_image_pixels=max_image_pixels)
