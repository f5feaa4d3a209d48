"""Writes preference pairs to a folder in the MMPR layout, which ``MMPRFolder`` reads.

    folder/
        meta.json                           the subsets, one per kind of pair
        annotations/<name>_<kind>.jsonl     rows whose images stay where they are
        annotations/<name>_<kind>.saved.jsonl, images/000000.png    rows with an image that has no file of its own

Besides MMPR's own columns a row has those that ``datamodules.rows.pair_rows`` explains, so that only the position of a
pair is lost. Equal pairs give equal bytes.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algorithms.errors import DataError
from algorithms.records import ImageReference, PreferencePair, Prompt
from datamodules.rows.cells import IMAGE_MARK
from datamodules.rows.columns.column_map import DEFAULT_COLUMNS
from datamodules.rows.images import ImageFile
from datamodules.rows.pair_cells import PAIR_COLUMNS
from datamodules.rows.turns import LEADING_MARK
from storage import whole_folder

# Columns with a meaning here; a column of the prompt must not have one of these names.
OWN_COLUMNS = frozenset(PAIR_COLUMNS + DEFAULT_COLUMNS)


def write_mmpr(folder: Path, pairs: Sequence[PreferencePair], *, image_root: Path, name: str) -> None:
    """Write pairs as subsets of MMPR, one per kind, each in the given order; all files or none.

    Args:
        folder: the folder to create; it may exist, but must be empty.
        pairs: the pairs, at least one. Their positions are not written, because reading numbers them again.
        image_root: image files below it are named in the rows; all other images are saved in ``folder``.
        name: first part of the names of the subsets.

    Raises:
        DataError: The folder is not empty, the name is no file name, or the layout cannot hold the pairs.
    """
    _check(folder, pairs, name)
    # Relative to the final folder and not to the draft.
    roots = {False: _portable(image_root, folder), True: "images"}
    # Replaces the empty folder that may exist.
    with whole_folder(folder, replace=True) as draft:
        (draft / "annotations").mkdir()
        rows_of_subset = _subsets(pairs, _Images(image_root.resolve(), draft / "images"), name)
        for subset, rows in rows_of_subset.items():
            _write_rows(draft / "annotations" / f"{subset}.jsonl", rows)
        meta = {
            subset: {
                "root": roots[subset.endswith(".saved")],
                "annotation": f"annotations/{subset}.jsonl",
                # InternVL's scripts need these two keys: no augmentation, every row once.
                "data_augment": False,
                "repeat_time": 1,
                "length": len(rows),
            }
            for subset, rows in rows_of_subset.items()
        }
        (draft / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")


class _Images:
    """Names the images of a row, and saves those that have no file below the root."""

    def __init__(self, root: Path, saved: Path) -> None:
        """Save nothing yet.

        Args:
            root: images below it are named by their path; symbolic links must be resolved.
            saved: the folder of saved images, which is created when it is needed.
        """
        self.root = root
        self.saved = saved
        self._names: dict[ImageReference, str] = {}

    def below_root(self, images: Sequence[ImageReference]) -> list[str] | None:
        """Return the paths relative to the root, or None when an image is no file below the root."""
        paths = [self._path(image) for image in images]
        return None if None in paths else [path for path in paths if path is not None]

    def save(self, images: Sequence[ImageReference]) -> list[str]:
        """Return the names of saved copies; an image is saved once."""
        self.saved.mkdir(exist_ok=True)
        for image in images:
            if image not in self._names:
                self._names[image] = f"{len(self._names):06d}.png"
                image.load().save(self.saved / self._names[image])
        return [self._names[image] for image in images]

    def _path(self, image: ImageReference) -> str | None:
        if not isinstance(image, ImageFile):
            return None
        named, real = image.path.absolute(), image.path.resolve()
        if not real.is_relative_to(self.root):
            return None
        # The prompt's own path is kept if possible, so that a link inside of the root stays a link.
        is_spelled_below = named.is_relative_to(self.root) and ".." not in named.parts
        return (named if is_spelled_below else real).relative_to(self.root).as_posix()


def _check(folder: Path, pairs: Sequence[PreferencePair], name: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise DataError(f"a name of pairs must be letters, digits and _.-, got {name!r}: files are named after it.")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder} is there already: older pairs are never replaced; remove it or name another.")
    if not pairs:
        raise DataError(f"there are no pairs to write to {folder}: a data set needs at least one.")
    for pair in pairs:
        if pair.prompt.prefill:
            raise DataError(
                f"pair {pair.uid} continues the prefill {pair.prompt.prefill!r:.40}, for which a file of pairs has no "
                "column: put it before both completions."
            )


def _subsets(pairs: Sequence[PreferencePair], images: _Images, name: str) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for pair in pairs:
        # No dot: ".saved" marks the subsets with saved images.
        kind = re.sub(r"[^\w-]", "_", pair.kind)
        subset = f"{name}_{kind}"
        paths = images.below_root(pair.prompt.images)
        if paths is None:
            subset, paths = f"{subset}.saved", images.save(pair.prompt.images)
        rows.setdefault(subset, []).append(_row(pair, paths))
    return dict(sorted(rows.items()))


def _row(pair: PreferencePair, paths: Sequence[str]) -> dict[str, Any]:
    prompt = pair.prompt
    adds_marks = bool(paths) and IMAGE_MARK not in prompt.question
    cells = {
        "id": prompt.key,
        "image": (paths[0] if len(paths) == 1 else list(paths)) if paths else None,
        # Marks are added, because InternVL needs them to place several images.
        "question": LEADING_MARK * len(paths) * adds_marks + prompt.question,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "answer_gt": prompt.answer,
        "facts": None if prompt.facts is None else list(prompt.facts),
        "kind": pair.kind,
        "chosen_score": pair.chosen_score,
        "rejected_score": pair.rejected_score,
        "rejected_ended": pair.rejected_ended,
        "marks_added": adds_marks or None,
        "system": prompt.system or None,
    }
    return {column: cell for column, cell in cells.items() if cell is not None} | _further_columns(prompt)


def _further_columns(prompt: Prompt) -> dict[str, Any]:
    """Return the prompt's own columns; columns whose names have another meaning here are nested in one column."""
    nested = {name: cell for name, cell in prompt.columns.items() if name in OWN_COLUMNS}
    further = {name: cell for name, cell in prompt.columns.items() if name not in OWN_COLUMNS}
    return further | ({"prompt_columns": nested} if nested else {})


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        for row in rows:
            # ASCII, because some readers end a line at U+2028, which a text may hold.
            lines.write(json.dumps(row, default=str) + "\n")


def _portable(image_root: Path, folder: Path) -> str:
    """Return the root relative to the folder when the two lie side by side, so that they can move together."""
    root, final = image_root.resolve(), folder.resolve()
    return os.path.relpath(root, final) if root.is_relative_to(final.parent) else str(root)
