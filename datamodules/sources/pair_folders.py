"""Where preference pairs lie on disk.

``PreferenceFolder`` is a folder with one file per split, and the images that they name:

    my_pairs/
        train.jsonl         {"question": "How many?", "image": "images/1.png", "chosen": "3", "rejected": "4"}
        val.jsonl           optional; ``.parquet`` works as well; ``datamodules.rows.pair_rows`` has the columns
        images/1.png

``MMPRFolder`` is what MMPR ships and what ``mmpr_writer`` writes: a ``meta.json`` that lists subsets.

    MMPR-v1.1/
        meta.json           {"scienceqa": {"root": "MMPR-v1.1/images/ScienceQA", "annotation": ..., "repeat_time": 1}}
        annotations/scienceqa.jsonl
        images/ScienceQA/1.png
"""

import difflib
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms.errors import ConfigError, DataError
from datamodules.rows.files import read_rows
from datamodules.rows.pair_rows import PairReader, PairRows, read_pairs
from datamodules.sources.prompt_folder import MAX_NAMES_IN_ERROR, SUFFIXES

logger = logging.getLogger(__name__)


class PairSource:
    """A source of preference pairs. Subclasses that make or convert their own data override ``prepare``."""

    @property
    def folder(self) -> Path:
        """Where the pairs lie on disk; reports name it."""
        raise TypeError(f"{type(self).__name__} must define folder")

    def prepare(self) -> None:
        """Make the files, if they are not there yet. Called once, by one process, before any split is read."""

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read and check the pairs of a split.

        Args:
            split: "train", "val" or "test".
            max_image_pixels: Largest width times height of an image.

        Returns:
            The pairs and the rejected rows, or None when this source has no such split.
        """
        raise TypeError(f"{type(self).__name__} must define read()")


class PreferenceFolder(PairSource):
    """One file of pairs per split."""

    def __init__(self, path: str, train: str = "train", val: str = "val") -> None:
        """Name the folder and its files; nothing is read yet.

        Args:
            path: The folder.
            train: File of the training pairs, without ``.jsonl`` or ``.parquet``.
            val: File of the validation pairs; there need not be a file named ``val``.
        """
        if not path.strip():
            raise ConfigError(
                f"data.pairs.path must name a folder, got {path!r}: preference pairs are read from there."
            )
        self.path = path
        self.stems: dict[str, str] = {"train": train, "val": val}

    @property
    def folder(self) -> Path:
        """The data folder, with ``~`` expanded."""
        return Path(self.path).expanduser().absolute()

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read a split; None for a split without a file, unless it is the training split or a name was given for it.

        Args:
            split: "train", "val" or "test"; there is never a test split.
            max_image_pixels: Largest width times height of an image.

        Raises:
            ConfigError: The folder is not there.
            DataError: A file is not there or cannot be read.
        """
        file = self.split_file(split)
        return read_pairs(file, self.folder, max_image_pixels=max_image_pixels) if file else None

    def split_file(self, split: str) -> Path | None:
        """Return the file of a split, ``.jsonl`` before ``.parquet``; raises like ``read``."""
        if split not in self.stems:
            return None
        if not self.folder.is_dir():
            raise ConfigError(
                f"data.pairs.path must be an existing folder, got {self.path!r}: {_what_is_at(self.folder)}."
            )
        candidates = [self.folder / f"{self.stems[split]}{suffix}" for suffix in SUFFIXES]
        for file in candidates:
            if file.is_file():
                return file
        if split == self.stems[split] == "val":
            return None
        raise DataError(
            f"data.pairs.path={self.path!r} has no file for the split {split}: looked for "
            f"{' and '.join(file.name for file in candidates)}, found {_contents(self.folder)}; rename a file or set "
            f"data.pairs.{split} to its name without suffix."
        )


@dataclass(frozen=True, slots=True)
class _Subset:
    name: str
    root: Path
    annotation: Path
    repeat_time: float
    length: int | None


class MMPRFolder(PairSource):
    """Subsets of pairs that a ``meta.json`` lists; all of them are training data.

    ``annotation`` and ``root`` of a subset are paths relative to the folder of ``meta.json`` or to the folder around
    it, or absolute. A ``repeat_time`` of 2 or more repeats the rows; below 1 it takes that share of them, from the
    first row on. ``length`` is compared with the rows there are; other entries have no meaning here.
    """

    def __init__(self, meta: str, image_root: str | None = None, subsets: list[str] | None = None) -> None:
        """Name the file and its subsets; nothing is read yet.

        Args:
            meta: The ``meta.json``.
            image_root: Look for each ``root`` here instead, when images lie apart from ``meta.json``.
            subsets: Subsets to read, in the order of ``meta.json``; null reads all.
        """
        if not meta.strip():
            raise ConfigError(f"data.pairs.meta must name a meta.json, got {meta!r}: it lists the subsets of pairs.")
        if subsets is not None and not subsets:
            raise ConfigError("data.pairs.subsets must name at least one subset, got []: leave it out to read all.")
        self.meta = meta
        self.image_root = image_root
        self.subsets = subsets

    @property
    def file(self) -> Path:
        """The ``meta.json``, with ``~`` expanded."""
        return Path(self.meta).expanduser().absolute()

    @property
    def folder(self) -> Path:
        """The folder of ``meta.json``."""
        return self.file.parent

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read the subsets as one data set; None for every split but "train".

        Args:
            split: "train", "val" or "test".
            max_image_pixels: Largest width times height of an image.

        Raises:
            ConfigError: There is no ``meta.json``, no ``image_root`` or no such subset.
            DataError: ``meta.json`` or an annotation file cannot be used.
        """
        if split != "train":
            return None
        reader = PairReader(max_image_pixels=max_image_pixels)
        # All paths before the first row: a typo in the last subset must not cost an hour of reading.
        for subset in [self._subset(name, entry) for name, entry in self._entries().items()]:
            _read_subset(reader, subset)
        return reader.rows()

    def _entries(self) -> dict[str, Any]:
        entries = self._listed()
        unknown = [name for name in self.subsets or [] if name not in entries]
        if unknown:
            likely = difflib.get_close_matches(unknown[0], entries, n=len(entries), cutoff=0.0)
            raise ConfigError(
                f"data.pairs.subsets must name subsets of {self.file}, got {unknown[0]!r}: there are {_some(likely)}."
            )
        return {name: entry for name, entry in entries.items() if self.subsets is None or name in self.subsets}

    def _listed(self) -> dict[str, Any]:
        if not self.file.is_file():
            raise ConfigError(f"data.pairs.meta must be an existing file, got {self.meta!r}: {_what_is_at(self.file)}.")
        try:
            entries = json.loads(self.file.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"data.pairs.meta={self.meta!r} is not JSON: {error}; write or download it again."
            ) from error
        if not isinstance(entries, dict) or not entries:
            raise DataError(
                f"data.pairs.meta={self.meta!r} must hold an object {{name: {{root, annotation, ...}}}} with at least "
                f"one subset, found {entries!r:.80}."
            )
        return entries

    def _subset(self, name: str, entry: Any) -> _Subset:
        where = f"data.pairs.meta={self.meta!r}, subset {name!r}"
        if not isinstance(entry, dict):
            raise DataError(f"{where} must be an object {{root, annotation, ...}}, found {entry!r:.80}.")
        root, annotation = entry.get("root") or "", entry.get("annotation")
        if not isinstance(root, str) or not isinstance(annotation, str) or not annotation:
            raise DataError(f"{where} must have texts for root and annotation, found {root!r:.80}, {annotation!r:.80}.")
        places = _places(annotation, self.folder)
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise DataError(
                f"{where} has its rows in {annotation!r}, but there is no such file: looked for "
                f"{' and '.join(map(str, places))}, found {_what_is_at(places[0].parent)}; unpack the annotations "
                "beside meta.json."
            )
        length = entry.get("length")
        return _Subset(
            name, self._root(name, root), file, _repeat_time(where, entry), length if isinstance(length, int) else None
        )

    def _root(self, name: str, root: str) -> Path:
        base = self.folder if self.image_root is None else Path(self.image_root).expanduser().absolute()
        if not base.is_dir():
            raise ConfigError(
                f"data.pairs.image_root must be an existing folder, got {self.image_root!r}: {_what_is_at(base)}."
            )
        places = _places(root, base)
        for place in places:
            if place.is_dir():
                return place
        # Not an error: a subset without images needs no root, and MMPR gives it one nevertheless.
        logger.warning(
            "subset %s: its image folder %r is not there (looked for %s): rows with images will be rejected; unpack "
            "the images or set data.pairs.image_root",
            name,
            root,
            " and ".join(map(str, places)),
        )
        return places[0]


def _read_subset(reader: PairReader, subset: _Subset) -> None:
    if subset.repeat_time < 1:
        num_rows = sum(1 for _ in read_rows(subset.annotation))
        reader.read(subset.annotation, subset.root, max_rows=int(num_rows * subset.repeat_time))
    else:
        num_rows = reader.read(subset.annotation, subset.root, repeats=int(subset.repeat_time))
    if subset.length is not None and subset.length != num_rows:
        logger.warning(
            "subset %s: meta.json says length %d, but %s has %d rows: it may be cut or of another version",
            subset.name,
            subset.length,
            subset.annotation,
            num_rows,
        )


def _repeat_time(where: str, entry: Mapping[str, Any]) -> float:
    repeat = entry.get("repeat_time", 1)
    is_number = isinstance(repeat, int | float) and not isinstance(repeat, bool) and math.isfinite(repeat)
    if not is_number or repeat < 0 or (repeat > 1 and repeat != int(repeat)):
        raise DataError(
            f"{where} has the repeat_time {repeat!r:.40}, but it must be a whole number, or a share of the rows "
            "between 0 and 1."
        )
    return repeat


def _places(path: str, base: Path) -> list[Path]:
    """Return where a path may lie: released files count from the folder in which MMPR was unpacked."""
    return [base / path] if Path(path).is_absolute() else [base / path, base.parent / path]


def _what_is_at(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder with {_contents(path)}"
    return f"{path} is {'a file' if path.exists() else 'not there'}"


def _contents(folder: Path) -> str:
    return _some(sorted(entry.name for entry in folder.iterdir())) or "nothing in it"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES_IN_ERROR])
    num_more = len(names) - MAX_NAMES_IN_ERROR
    return f"{shown} and {num_more} more" if num_more > 0 else shown
