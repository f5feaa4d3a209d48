"""Prompts of a data set on the Hugging Face hub, or in a folder that ``datasets`` can load.

A data set that is read as a whole is downloaded once, and its images stay in the arrow files of ``datasets``. A
streamed data set is not downloaded: rows come shard by shard with their images.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from algorithms.errors import ConfigError, DataError
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.prompt_rows import PromptReader, PromptRows
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.shards import HubShard, StreamedPart


class HubPrompts(PromptFolder):
    """A data set by its name for ``datasets.load_dataset``."""

    def __init__(
        self,
        name: str,
        config: str | None = None,
        train: str | None = "train",
        val: str | None = "validation",
        test: str | None = "test",
        columns: ColumnMap = ColumnMap(),  # noqa: B008  (frozen)
        streamed: bool = False,
        revision: str | None = None,
    ) -> None:
        """Name the data set; nothing is loaded yet.

        Args:
            name: ``owner/name`` on the hub, or a folder.
            config: name of one of its configurations.
            train: name of the training split, without slices such as ``train[:10%]``; null: no such split.
            val: name of the validation split.
            test: name of the test split.
            columns: column map: the meaning of the columns.
            streamed: true reads the training rows during training, without a download; false downloads and reads all
                rows before.
            revision: branch, tag or commit of the data set; null: the newest.
        """
        super().__init__(path=name, train=train, val=val, test=test, columns=columns, streamed=streamed)
        sliced = [split for split in (train, val, test) if split is not None and "[" in split]
        if sliced:
            raise ConfigError(
                f"data.source of HubPrompts takes names of splits, got {sliced[0]!r}: a slice cannot be told from its "
                "files; train on all, or choose rows by data.pool."
            )
        self.name, self.config, self.revision = name, config, revision

    @property
    def folder(self) -> Path:
        """A name for this data set in the form of a path; no file is read or written there."""
        return Path("runs/data") / self.name.strip("/").replace("/", "--")

    def prepare(self) -> None:
        """Download every split that is not streamed, once."""
        for split in self.names:
            if self.has(split) and not (self.streamed and split == "train"):
                self._loaded(split)

    def check_places(self, splits: Sequence[str]) -> None:
        """Do nothing: whether a split exists is known only when it is downloaded."""

    def split_files(self, split: str) -> list[Path]:
        """Return the arrow files of a split; download missing ones."""
        dataset = self._loaded(split)
        files = [Path(entry["filename"]) for entry in dataset.cache_files]
        if not files:
            raise DataError(f"data.source.name={self.name!r}: its split {self.names[split]} lies in no file.")
        return files

    def split_file(self, split: str) -> Path:
        """Return the data set and the split as one name, for messages."""
        return Path(self.name) / (self.config or "") / self._names(split)[0]

    def present_files(self) -> dict[str, Path]:
        """Return no files: only ``datasets`` knows whether files exist."""
        return {}

    def read(self, split: str, *, max_image_pixels: int) -> PromptRows:
        """Read and check the rows of a split."""
        # Relative image paths have no meaning, because the hub's files are not in a folder.
        reader = PromptReader(self.folder, max_image_pixels=max_image_pixels, columns=self.columns)
        files = self.split_files(split)
        for file in files:
            reader.read(file)
        return reader.rows(str(self.split_file(split)), files)

    def streamed_parts(self, *, max_image_pixels: int) -> list[StreamedPart]:
        """Return the training shards."""
        stream = self._call(streaming=True, split=self._names("train")[0]).decode(False)
        number = stream.num_shards
        name = self._names("train")[0]
        shards = tuple(
            HubShard(name if number == 1 else f"{name}-{index}", stream.shard(num_shards=number, index=index))
            for index in range(number)
        )
        reader = PromptReader(self.folder, max_image_pixels=max_image_pixels, columns=self.columns)
        return [StreamedPart(0, 1.0, str(self.split_file("train")), shards, reader)]

    def _loaded(self, split: str) -> Any:
        return self._call(streaming=False, split=self._names(split)[0])

    def _call(self, **settings: Any) -> Any:
        # Imported here, because the import takes seconds and most runs do not need it.
        from datasets import load_dataset

        load: Callable[..., Any] = load_dataset
        try:
            return load(self.name, self.config, revision=self.revision, **settings)
        # Wrong names, configurations and splits, and a missing network, raise errors of many classes.
        except Exception as error:
            cause = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"data.source.name={self.name!r} (config {self.config}, split {settings['split']}) cannot be loaded: "
                f"{type(error).__name__}: {cause}"
            ) from error
