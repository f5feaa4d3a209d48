"""Preference pairs in a folder on disk: one file per split, and the images that they name.

my_pairs/
    train.jsonl         {"question": "How many?", "image": "images/1.png", "chosen": "3", "rejected": "4"}
    val.jsonl           optional; ``.parquet`` works as well; ``datamodules.rows.pair_rows`` has the columns
    images/1.png
"""

from pathlib import Path

from algorithms.errors import ConfigError
from datamodules.rows.pair_rows import PairRows, read_pairs
from datamodules.sources.pair_source import PairSource
from datamodules.sources.split_files import find_file, require_file, require_folder


class PreferenceFolder(PairSource):
    """One file of pairs per split."""

    def __init__(self, path: str, train: str = "train", val: str = "val") -> None:
        """Name the folder and its files; nothing is read yet.

        Args:
            path: the folder.
            train: file of the training pairs, without ``.jsonl`` or ``.parquet``.
            val: file of the validation pairs; there need not be a file named ``val``.
        """
        if not path.strip():
            raise ConfigError(
                f"data.pairs.path must name a folder, got {path!r}: preference pairs are read from there."
            )
        self.path = path
        # File name without suffix, by split.
        self.stems: dict[str, str] = {"train": train, "val": val}

    @property
    def folder(self) -> Path:
        """The data folder, with ``~`` expanded."""
        return Path(self.path).expanduser().absolute()

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read a split; None for a split without a file, unless it is the training split or a name was given for it.

        Args:
            split: "train", "val" or "test"; there is never a test split.
            max_image_pixels: largest width times height of an image.

        Raises:
            ConfigError: The folder is not there.
            DataError: A file is not there or cannot be read.
        """
        # None without a file: then pair_store holds out some of the training prompts.
        file = self.split_file(split)
        return read_pairs(file, self.folder, max_image_pixels=max_image_pixels) if file else None

    def split_file(self, split: str) -> Path | None:
        """Return the file of a split, ``.jsonl`` before ``.parquet``; raises like ``read``."""
        if split not in self.stems:
            return None
        stem = self.stems[split]
        require_folder(self.folder, key="data.pairs.path", path=self.path)
        # A file that the user has named must be there; the default name is only looked for.
        if split == stem == "val" and find_file(self.folder, stem) is None:
            return None
        return require_file(self.folder, stem, split=split, key="data.pairs", path=self.path)
