"""Pictures of COCO with the objects that they show, for requests of captions: the data of CHAIR (arXiv:1809.02156).

    annotations/instances_val2014.json     which instances were annotated in a picture, and the names of their classes
    annotations/captions_val2014.json      its reference captions; an object that they name is there too
    val2014/COCO_val2014_000000000042.jpg

Every row asks the same question. ``facts`` are the objects by the names of the lexicon, as ``ObjectJudge`` and
``ChairBenchmark`` read them.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from algorithms.chance import position_generator
from algorithms.errors import DataError, check_at_least
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.files import json_list
from datamodules.rows.prompt_rows import PromptReader, PromptRows
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.split_files import require_folder
from hallucination.chair import true_objects
from hallucination.judges import load_lexicon


class CocoObjects(PromptFolder):
    """One of COCO's sets of pictures, for the splits val and test."""

    def __init__(
        self,
        path: str,
        pictures: str = "val2014",
        question: str = "Please describe this image in detail.",
        synonyms: str = "coco",
        num_pictures: int | None = None,
        seed: int = 0,
    ) -> None:
        """Name the folder; nothing is read yet.

        Args:
            path: the folder that holds ``annotations`` and the folder of the pictures.
            pictures: name of the set, which is the name of its folder and the end of its annotation files' names.
            question: the question about every picture.
            synonyms: names of objects and their synonyms, as in ``ObjectJudge``.
            num_pictures: number of pictures that are drawn from the set; null: all.
            seed: seed of the draw.
        """
        super().__init__(path, train=None, val=pictures, test=pictures)
        if num_pictures is not None:
            check_at_least("data.source.num_pictures", num_pictures, 1, "there would be nothing to describe")
        self.lexicon = load_lexicon(synonyms)
        self.pictures, self.question = pictures, question
        self.num_pictures, self.seed = num_pictures, seed

    def split_files(self, split: str) -> list[Path]:
        """Return the file of instances; raises as ``PromptFolder.split_files``."""
        self._names(split)
        require_folder(self.folder, key="data.source.path", path=self.path)
        return [self._annotations("instances")]

    def present_files(self) -> dict[str, Path]:
        """Return the file of instances for both splits, if it is there."""
        file = self.folder / "annotations" / f"instances_{self.pictures}.json"
        return {"val": file, "test": file} if file.is_file() else {}

    def read(self, split: str, *, max_image_pixels: int) -> PromptRows:
        """Read the annotations, and check the pictures that are drawn.

        Args:
            split: "val" or "test".
            max_image_pixels: largest width times height of an image.

        Raises:
            ConfigError: the folder does not exist.
            DataError: a file is missing or does not have COCO's form, or the split is neither val nor test.
        """
        files = self.split_files(split)
        columns = ColumnMap(question=None, fixed_question=self.question, answer=None, images="image")
        reader = PromptReader(self.folder, max_image_pixels=max_image_pixels, columns=columns)
        shown = self._objects()
        rows = [
            {"id": number, "image": f"{self.pictures}/{name}", "facts": sorted(shown[number])}
            for number, name in self._drawn()
        ]
        reader.add(self.pictures, rows)
        return reader.rows(str(files[0]), files)

    def _drawn(self) -> list[tuple[int, str]]:
        """Return number and file of the drawn pictures, in the order of the file."""
        pictures = [(row["id"], row["file_name"]) for row in self._rows("instances", "images", "id", "file_name")]
        if self.num_pictures is None or self.num_pictures >= len(pictures):
            return pictures
        order = torch.randperm(len(pictures), generator=position_generator(self.seed, "coco pictures"))
        # Sorted, so that the pictures are in the order of the file whatever the seed.
        return [pictures[row] for row in sorted(order[: self.num_pictures].tolist())]

    def _objects(self) -> Mapping[int, frozenset[str]]:
        """Return the objects of each picture by its number; no objects for a picture without annotations."""
        classes = {row["id"]: row["name"] for row in self._rows("instances", "categories", "id", "name")}
        labels: dict[int, set[str]] = defaultdict(set)
        for row in self._rows("instances", "annotations", "image_id", "category_id"):
            if row["category_id"] not in classes:
                raise DataError(
                    f"{self._annotations('instances')}: an annotation has category_id {row['category_id']!r}, which no "
                    "entry of categories has."
                )
            labels[row["image_id"]].add(classes[row["category_id"]])
        captions: dict[int, list[str]] = defaultdict(list)
        for row in self._rows("captions", "annotations", "image_id", "caption"):
            captions[row["image_id"]].append(row["caption"])
        # The union: a picture may have captions without annotated instances, and the other way round.
        found = {
            number: true_objects(labels.get(number, ()), captions.get(number, ()), self.lexicon)
            for number in labels.keys() | captions.keys()
        }
        return defaultdict(frozenset[str], found)

    def _rows(self, kind: str, records: str, *keys: str) -> list[dict[str, Any]]:
        """Return a list of an annotation file, after checking that every entry has some keys."""
        file = self._annotations(kind)
        rows = json_list(file, records)
        for number, row in enumerate(rows):
            missing = [key for key in keys if not isinstance(row, dict) or row.get(key) is None]
            if missing:
                raise DataError(f"{file}: entry {number} of {records} has no {missing[0]}, which COCO's files have.")
        return rows  # pyright: ignore[reportReturnType]  (all are objects)

    def _annotations(self, kind: str) -> Path:
        file = self.folder / "annotations" / f"{kind}_{self.pictures}.json"
        if not file.is_file():
            raise DataError(
                f"data.source.path={self.path!r} has no file annotations/{file.name}: instances and captions together "
                "tell what a picture shows."
            )
        return file
