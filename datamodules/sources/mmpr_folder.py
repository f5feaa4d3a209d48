"""Preference pairs in the layout of MMPR's releases, which ``mmpr_writer`` writes too.

    MMPR-v1.1/
        meta.json           {"scienceqa": {"root": "MMPR-v1.1/images/ScienceQA", "annotation": ..., "repeat_time": 1}}
        annotations/scienceqa.jsonl
        images/ScienceQA/1.png

``datamodules.rows.pair_rows`` has the columns of an annotation file.
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
from datamodules.rows.pair_rows import PairReader, PairRows
from datamodules.sources.pair_source import PairSource
from datamodules.sources.split_files import first_names, require_folder, what_is_at

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Subset:
    """One entry of ``meta.json``, with resolved paths."""

    name: str
    root: Path
    annotation: Path
    repeat_time: float
    length: int | None


class MMPRFolder(PairSource):
    """Subsets of pairs that a ``meta.json`` lists; all of them are training data.

    ``annotation`` and ``root`` of a subset are paths relative to the folder of ``meta.json`` or to the folder around
    it, or absolute. A ``repeat_time`` of 2 or more repeats the rows; a ``repeat_time`` below 1 takes this share of the
    rows, from the first one on. ``length`` is compared with the number of rows; other entries are ignored.
    """

    def __init__(self, meta: str, image_root: str | None = None, subsets: list[str] | None = None) -> None:
        """Name the file and its subsets; nothing is read yet.

        Args:
            meta: the ``meta.json``.
            image_root: folder in which each ``root`` is looked for, when images do not lie near ``meta.json``.
            subsets: subsets to read, in the order of ``meta.json``; null reads all.
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

    def check_places(self) -> None:
        """Refuse a missing ``meta.json`` and unknown subsets; raises what ``read`` raises."""
        self._entries()

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read the subsets as one data set; None for every split but "train".

        Args:
            split: "train", "val" or "test".
            max_image_pixels: largest width times height of an image.

        Raises:
            ConfigError: There is no ``meta.json``, no ``image_root`` or no such subset.
            DataError: ``meta.json`` or an annotation file cannot be used.
        """
        if split != "train":
            # MMPR has no validation files; ``pair_store`` holds out some prompts instead.
            return None
        reader = PairReader(max_image_pixels=max_image_pixels)
        # All paths are checked before the first row is read: a typo in the last subset must not cost an hour of
        # reading.
        for subset in [self._subset(name, entry) for name, entry in self._entries().items()]:
            _read_subset(reader, subset)
        return reader.rows()

    def _entries(self) -> dict[str, Any]:
        entries = self._listed()
        unknown = [name for name in self.subsets or [] if name not in entries]
        if unknown:
            # MMPR has far more subsets than a message can show: the most similar names come first.
            similar = difflib.get_close_matches(unknown[0], entries, n=len(entries), cutoff=0.0)
            raise ConfigError(
                f"data.pairs.subsets must name subsets of {self.file}, got {unknown[0]!r}: there are "
                f"{first_names(similar)}."
            )
        return {name: entry for name, entry in entries.items() if self.subsets is None or name in self.subsets}

    def _listed(self) -> dict[str, Any]:
        if not self.file.is_file():
            raise ConfigError(f"data.pairs.meta must be an existing file, got {self.meta!r}: {what_is_at(self.file)}.")
        try:
            # "-sig" skips the byte order mark that some editors write before the first brace.
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
        # Relative to the folder of meta.json, or to the folder around it.
        places = _places(annotation, self.folder)
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise DataError(
                f"{where} has its rows in {annotation!r}, but there is no such file: looked for "
                f"{' and '.join(map(str, places))}, found {what_is_at(places[0].parent)}; unpack the annotations "
                "beside meta.json."
            )
        length = entry.get("length")
        return _Subset(
            name=name,
            root=self._root(name, root),
            annotation=file,
            repeat_time=_repeat_time(where, entry),
            length=length if isinstance(length, int) else None,
        )

    def _root(self, name: str, root: str) -> Path:
        base = self.folder if self.image_root is None else Path(self.image_root).expanduser().absolute()
        require_folder(base, key="data.pairs.image_root", path=self.image_root)
        places = _places(root, base)
        for place in places:
            if place.is_dir():
                return place
        # No error: a subset without images needs no root, but MMPR's file may name one that does not exist.
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
        # Counted in a separate pass, because the share is of all rows, good and bad.
        num_rows = sum(1 for _ in read_rows(subset.annotation))
        reader.read(subset.annotation, subset.root, max_rows=int(num_rows * subset.repeat_time))
    else:
        num_rows = reader.read(subset.annotation, subset.root, repeats=int(subset.repeat_time))
    if subset.length is not None and subset.length != num_rows:
        logger.warning(
            "subset %s: meta.json has length %d, but %s has %d rows: it may be cut or of another version",
            subset.name,
            subset.length,
            subset.annotation,
            num_rows,
        )


def _repeat_time(where: str, entry: Mapping[str, Any]) -> float:
    repeat = entry.get("repeat_time", 1)
    # JSON's true is a Python int, and JSON as Python reads it has NaN.
    is_number = isinstance(repeat, int | float) and not isinstance(repeat, bool) and math.isfinite(repeat)
    if not is_number or repeat < 0 or (repeat > 1 and repeat != int(repeat)):
        raise DataError(
            f"{where} has the repeat_time {repeat!r:.40}, but it must be a whole number, or a share of the rows "
            "between 0 and 1."
        )
    return repeat


def _places(path: str, base: Path) -> list[Path]:
    """Return the possible places of a path: paths in released files begin at the folder in which MMPR was unpacked."""
    return [base / path] if Path(path).is_absolute() else [base / path, base.parent / path]
