"""Prompts in a folder on disk: one file per split, and the images that they name.

my_data/
    train.jsonl         {"question": "How many?", "image": "images/1.png", "answer": 3}
    val.jsonl           ``.parquet`` works as well; ``datamodules.rows.prompt_rows`` has the columns
    images/1.png
"""

from pathlib import Path

from algorithms.errors import ConfigError, DataError
from datamodules.rows.prompt_rows import PromptRows, read_prompts

SUFFIXES = (".jsonl", ".parquet")
MAX_NAMES_IN_ERROR = 8


class PromptFolder:
    """A source of prompts.

    Subclasses that draw or convert their own data override ``prepare``; those with columns of other names ``read``.
    """

    def __init__(self, path: str, train: str = "train", val: str = "val", test: str = "test") -> None:
        """Name the folder and its files; nothing is read yet.

        Args:
            path: The data folder.
            train: File of the training prompts, without ``.jsonl`` or ``.parquet``.
            val: File of the validation prompts; may be the same as another one.
            test: File of the test prompts.
        """
        if not path.strip():
            raise ConfigError(f"data.source.path must name a folder, got {path!r}: prompts are read from there.")
        self.path = path
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
        if not self.folder.is_dir():
            raise ConfigError(
                f"data.source.path must be an existing folder, got {self.path!r}: {self.folder} is "
                f"{'a file' if self.folder.exists() else 'not there'}."
            )
        candidates = [self.folder / f"{self.stems[split]}{suffix}" for suffix in SUFFIXES]
        for file in candidates:
            if file.is_file():
                return file
        raise DataError(
            f"data.source.path={self.path!r} has no file for the split {split}: looked for "
            f"{' and '.join(file.name for file in candidates)}, found {self._contents()}; rename a file or set "
            f"data.source.{split} to its name without suffix."
        )

    def read(self, split: str, *, max_image_pixels: int) -> PromptRows:
        """Read and check the rows of a split; raises like ``split_file``.

        Args:
            split: "train", "val" or "test".
            max_image_pixels: Largest width times height of an image.
        """
        return read_prompts(self.split_file(split), self.folder, max_image_pixels=max_image_pixels)

    def _contents(self) -> str:
        names = sorted(entry.name for entry in self.folder.iterdir())
        shown = ", ".join(names[:MAX_NAMES_IN_ERROR])
        num_more = len(names) - MAX_NAMES_IN_ERROR
        return (f"{shown} and {num_more} more" if num_more > 0 else shown) or "an empty folder"
