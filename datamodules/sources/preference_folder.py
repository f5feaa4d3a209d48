"""Preference pairs in a folder on disk: files for each split, and the images that they name.

    my_pairs/
        train.jsonl         {"question": "How many?", "image": "images/1.png", "chosen": "3", "rejected": "4"}
        val.jsonl           optional
        images/1.png

``.parquet`` and patterns work as well. ``datamodules/rows/pair_rows.py`` has the columns, and ``columns`` gives them
other names.
"""

from pathlib import Path

from algorithms.errors import ConfigError
from datamodules.rows.columns.column_map import as_names
from datamodules.rows.columns.pair_columns import PairColumns
from datamodules.rows.pair_rows import PairReader, PairRows
from datamodules.sources.pair_source import PairSource
from datamodules.sources.split_files import find_files, require_files, require_folder


class PreferenceFolder(PairSource):
    """Files of pairs for each split."""

    def __init__(
        self,
        path: str,
        train: str | list[str] | None = "train",
        val: str | list[str] = "val",
        test: str | list[str] | None = None,
        columns: PairColumns = PairColumns(),  # noqa: B008  (frozen)
    ) -> None:
        """Name the folder and its files; nothing is read yet.

        Args:
            path: the folder.
            train: files of the training pairs: a name, with or without ``.jsonl`` or ``.parquet``; a pattern such as
                ``data/train-*.parquet``; a folder written by ``datasets.save_to_disk``; or a list of these; null: none.
            val: files of the validation pairs; a file with the default name ``val`` may be missing.
            test: files of the test pairs; null: there are none.
            columns: what the columns mean.
        """
        if not path.strip():
            raise ConfigError(
                f"data.pairs.path must name a folder, got {path!r}: preference pairs are read from there."
            )
        self.path = path
        # Names of files by split.
        self.names: dict[str, str | list[str] | None] = {"train": train, "val": val, "test": test}
        self.columns = columns

    @property
    def folder(self) -> Path:
        """The data folder, with ``~`` expanded."""
        return Path(self.path).expanduser().absolute()

    def check_places(self) -> None:
        """Refuse missing training files; raises what ``read`` raises."""
        self.split_files("train")

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read a split. Return None for a split without a file, unless it is the training split or the user named its
        file.

        Args:
            split: "train", "val" or "test".
            max_image_pixels: largest width times height of an image.

        Raises:
            ConfigError: The folder does not exist.
            DataError: A file is missing or cannot be read.
        """
        # Without a file the result is None, and pair_store holds out some of the training prompts.
        files = self.split_files(split)
        if not files:
            return None
        reader = PairReader(max_image_pixels=max_image_pixels, columns=self.columns)
        for file in files:
            reader.read(file, self.folder)
        return reader.rows()

    def split_file(self, split: str) -> Path | None:
        """Return the first file of a split, None without one; raises what ``read`` raises."""
        return next(iter(self.split_files(split)), None)

    def split_files(self, split: str) -> list[Path]:
        """Return the files of a split, an empty list without any; raises what ``read`` raises."""
        names = self.names[split]
        if names is None:
            return []
        require_folder(self.folder, key="data.pairs.path", path=self.path)
        # A file that the user has named must exist; a file with the default name may be missing.
        if split == names == "val" and not find_files(self.folder, "val"):
            return []
        return [
            file
            for name in as_names(names)
            for file in require_files(self.folder, name, split=split, key="data.pairs", path=self.path)
        ]
