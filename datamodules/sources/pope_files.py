"""Reads POPE's own files as probes, and writes such files for POPE's script and other public scorers.

    coco_pope_popular.json      {"question_id": 1, "image": "COCO_val2014_000000310196.jpg",
                                 "text": "Is there a snowboard in the image?", "label": "yes"}

One JSON object a line, whatever the suffix; images lie in a folder of their own (https://github.com/AoiDragon/POPE).
A row that cannot be used is left out alone, for one of the reasons of ``datamodules.rows.prompt_rows``, or because its
``label is neither yes nor no``.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algorithms.errors import ConfigError, DataError
from algorithms.records import Prompt
from datamodules.rows.cells import BadRow
from datamodules.rows.images import ImageFile
from datamodules.rows.prompt_rows import PromptRows, read_prompts
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.split_files import require_folder
from hallucination.pope import POPE_SPLITS
from storage import whole_file

LABELS = ("yes", "no")
POPE_COLUMNS = ("question_id", "image", "text", "label")

# "Is there a cat in the image?"; the files of the first release have "imange".
_OBJECT = re.compile(r"is there an? (?P<object>.+) in the ima\w+\s*\?", re.IGNORECASE)


class PopeFile(PromptFolder):
    """One of POPE's files and the images of its questions: probes, for the splits val and test."""

    def __init__(self, path: str, images: str) -> None:
        """Name the file and the folder; nothing is read yet.

        Args:
            path: POPE's file. Rows may have further columns. A row without ``category`` gets it from the file's name,
                if the name contains one; a row without ``object`` gets it from its question.
            images: the folder of the images.
        """
        if not path.strip() or not images.strip():
            raise ConfigError(
                f"PopeFile.path and PopeFile.images must name a file and a folder, got {path!r} and {images!r}."
            )
        # The folder of this source is the folder of the images, where paths in rows begin.
        super().__init__(images)
        self.file = Path(path).expanduser().absolute()

    def split_file(self, split: str) -> Path:
        """Return the file, for any split but train.

        Args:
            split: "val" or "test".

        Raises:
            ConfigError: The file or the folder of images does not exist.
            DataError: The split is "train".
        """
        if split == "train":
            raise DataError(
                f"{self.file} holds probes to measure with: PopeFile has the splits val and test, no train."
            )
        if not self.file.is_file():
            raise ConfigError(f"PopeFile.path must be an existing file, got {str(self.file)!r}.")
        require_folder(self.folder, key="PopeFile.images", path=self.path)
        return self.file

    def present_files(self) -> dict[str, Path]:
        """Return the file for both of its splits, if it exists."""
        return {"val": self.file, "test": self.file} if self.file.is_file() and self.folder.is_dir() else {}

    def read(self, split: str, *, max_image_pixels: int) -> PromptRows:
        """Read and check the rows; raises what ``split_file`` raises."""
        file = self.split_file(split)
        # Released files are named coco_pope_popular.json and so on.
        category = next((name for name in POPE_SPLITS if name in file.stem), None)
        return read_prompts(
            file,
            self.folder,
            max_image_pixels=max_image_pixels,
            translate=lambda cells: prompt_cells(cells, category),
        )


def prompt_cells(cells: dict[str, Any], category: str | None = None) -> dict[str, Any]:
    """Return a row of POPE under the names of ``datamodules.rows.prompt_rows``; further columns are unchanged.

    Args:
        cells: POPE's columns.
        category: random, popular or adversarial, for rows without this column.

    Raises:
        BadRow: The question or the label cannot be used.
    """
    text, label = cells.get("text"), cells.get("label")
    if not isinstance(text, str):
        raise BadRow("wrong type", f"text must be Unicode text, got {text!r:.80}")
    if not isinstance(label, str) or label.strip().lower() not in LABELS:
        raise BadRow("label is neither yes nor no", f"label is {label!r:.80}")
    if cells.get("image") is None:
        raise BadRow("missing image", "a probe is a question about an image, and the row names none")
    # Further columns come first, so that they cannot replace a column of prompts with the same name.
    found = {name: cell for name, cell in cells.items() if name not in POPE_COLUMNS}
    found |= {"id": cells.get("question_id"), "image": cells["image"], "question": text}
    found["answer"] = label.strip().lower()
    if category is not None:
        found.setdefault("category", category)
    # The object is for reports only, so a question in other words is allowed.
    if match := _OBJECT.fullmatch(text.strip()):
        found.setdefault("object", match["object"])
    return found


def pope_line(question_id: int, image: str, text: str, label: str) -> str:
    """Return one line of a file of POPE.

    Args:
        question_id: number of the probe, from 1 as in the released files.
        image: path relative to the folder of images.
        text: the question.
        label: yes or no.
    """
    return json.dumps(dict(zip(POPE_COLUMNS, (question_id, image, text, label), strict=True))) + "\n"


def write_pope_file(file: Path, prompts: Sequence[Prompt], images: Path) -> None:
    """Write probes in the layout of POPE, numbered from 1.

    Args:
        file: where to write; missing folders are made.
        prompts: prompts with one image in a file and the answer yes or no.
        images: the folder to which the paths are relative.

    Raises:
        DataError: A prompt is no such probe; no file is written.
    """
    # All lines are made before the file is opened, so that a prompt that is no probe leaves no file behind.
    lines = [_line(number, prompt, images.resolve()) for number, prompt in enumerate(prompts, start=1)]
    with whole_file(file) as draft:
        draft.write_text("".join(lines), encoding="utf-8")


def _line(number: int, prompt: Prompt, images: Path) -> str:
    image = prompt.images[0] if len(prompt.images) == 1 else None
    if prompt.answer not in LABELS or not isinstance(image, ImageFile) or not image.path.is_relative_to(images):
        raise DataError(
            f"{prompt.key} cannot be written as a probe of POPE: it needs one image file below {images} and the answer "
            f"yes or no, and has {len(prompt.images)} image(s), {image} and the answer {prompt.answer!r}."
        )
    return pope_line(number, image.path.relative_to(images).as_posix(), prompt.question, prompt.answer)
