"""Prompts in a folder on disk: files for each split, and the images that they name.

    my_data/
        train.jsonl         {"question": "How many?", "image": "images/1.png", "answer": 3}
        val.jsonl
        images/1.png

``.json``, ``.parquet``, ``.arrow`` and patterns work as well. ``datamodules/rows/prompt_rows.py`` has the columns, and
``columns`` gives them other names.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from algorithms.errors import ConfigError, DataError
from datamodules.rows.columns.column_map import ColumnMap, as_names
from datamodules.rows.prompt_rows import PromptReader, PromptRows
from datamodules.sources.shards import FileShard, StreamedPart
from datamodules.sources.split_files import find_files, require_files
from storage import notes_folder

# A split that a source does not have is null.
Names = str | list[str] | None


class PromptFolder:
    """A source of prompts.

    Subclasses that draw or convert their own data override ``prepare``; subclasses with files of another form override
    ``read``.
    """

    def __init__(
        self,
        path: str,
        train: Names = "train",
        val: Names = "val",
        test: Names = "test",
        columns: ColumnMap = ColumnMap(),  # noqa: B008  (frozen)
        streamed: bool = False,
    ) -> None:
        """Name the folder and its files; nothing is read yet.

        Args:
            path: the data folder.
            train: files of the training prompts: a name, with or without ``.jsonl`` or ``.parquet``; a pattern such as
                ``data/train-*.parquet``; a folder written by ``datasets.save_to_disk``; or a list of these. Null: none.
            val: files of the validation prompts; may be the same as others.
            test: files of the test prompts.
            columns: what the columns mean.
            streamed: true reads the training rows during training, in the order of ``streams.prompt_stream``, and keeps
                only rows in use in memory; false reads all rows before the first step.
        """
        if not path.strip():
            raise ConfigError(f"data.source.path must name a folder, got {path!r}: prompts are read from there.")
        # The path as typed, for messages; ``folder`` is the expanded path.
        self.path = path
        # Names of files, by split.
        self.names: dict[str, Names] = {"train": train, "val": val, "test": test}
        self.columns, self.streamed = columns, streamed

    @property
    def folder(self) -> Path:
        """The data folder, with ``~`` expanded."""
        return Path(self.path).expanduser().absolute()

    @property
    def notes_folder(self) -> Path:
        """Folder for caches and reports about these data that belong to no run; ``folder`` itself is never written."""
        return notes_folder(self.folder)

    @property
    def weights(self) -> dict[int, float]:
        """Share of each part of a mixture, by its number; one part here."""
        return {0: 1.0}

    def prepare(self) -> None:
        """Create missing files. Called once, by one process, before any split is read."""

    def check_places(self, splits: Sequence[str]) -> None:
        """Refuse missing files and folders that cannot be written, before data are read or created.

        Args:
            splits: splits that will be read.

        Raises:
            ConfigError: The folder does not exist.
            DataError: A split has no file, or some of its files are missing.
        """
        for split in splits:
            if self.has(split):
                self.split_file(split)

    def has(self, split: str) -> bool:
        """Return whether the source has a split; its files may still be missing."""
        return self.names[split] is not None

    def streamed_parts(self, *, max_image_pixels: int) -> list[StreamedPart]:
        """Return the training files as shards, with the reader of their rows; raises what ``split_files`` raises."""
        shards = tuple(FileShard(file, self.columns) for file in self.split_files("train"))
        reader = PromptReader(self.folder, max_image_pixels=max_image_pixels, columns=self.columns)
        # One checker for all files, because the files of a data set share pictures.
        reader.join(shards[0].path)
        return [StreamedPart(0, 1.0, str(self.split_file("train")), shards, reader)]

    def split_files(self, split: str) -> list[Path]:
        """Return the files of a split, in the order of their rows.

        Args:
            split: "train", "val" or "test".

        Raises:
            ConfigError: The folder does not exist.
            DataError: The folder has no file for the split, or some of its files are missing.
        """
        return [
            file
            for name in self._names(split)
            for file in require_files(self.folder, name, split=split, key="data.source", path=self.path)
        ]

    def split_file(self, split: str) -> Path:
        """Return the file of a split, or a pattern of its files; raises what ``split_files`` raises."""
        files = self.split_files(split)
        return files[0] if len(files) == 1 else self.folder / ", ".join(self._names(split))

    def present_files(self) -> dict[str, Path]:
        """Return the first existing file by split; the folder may be missing."""
        # Missing files are no error here: a user may have no test split, and a drawn folder may not exist yet.
        found = {split: self._present(split) for split in self.names}
        return {split: file for split, file in found.items() if file is not None}

    def read(self, split: str, *, max_image_pixels: int) -> PromptRows:
        """Read and check the rows of a split; raises what ``split_files`` raises.

        Args:
            split: "train", "val" or "test".
            max_image_pixels: largest width times height of an image.
        """
        files = self.split_files(split)
        reader = PromptReader(self.folder, max_image_pixels=max_image_pixels, columns=self.columns)
        for file in files:
            reader.read(file)
        return reader.rows(str(self.split_file(split)), files)

    def _names(self, split: str) -> tuple[str, ...]:
        names = self.names[split]
        if names is None:
            raise DataError(
                f"data.source.{split} is null, so {self.path!r} has no split {split}, which is needed here."
            )
        return as_names(names)

    def _present(self, split: str) -> Path | None:
        names = self.names[split]
        found: Iterator[Path] = (file for name in as_names(names or []) for file in find_files(self.folder, name))
        return next(found, None)
