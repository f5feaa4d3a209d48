"""Preference pairs about mosaics, drawn by rule, to train the preference reward model on.

``errors``    both completions name every cell; the rejected one takes more of them for something else
``careless``  the chosen completion names every cell, rightly; the rejected one guesses

The mosaic alone decides which side is better, so a reward model can learn it only from the picture, and its pair
accuracy on new photographs can be measured.
"""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from algorithms import position_seed
from datamodules.photographs.collection import FASHION_FOLDER, CollectionName
from datamodules.photographs.folders import Drawn, MosaicDrawing, check_share
from datamodules.photographs.questions import QUESTION_KINDS, sample_question
from datamodules.photographs.reasoning import guess, misread, solution
from datamodules.rows.pair_rows import PairRows
from datamodules.sources.pair_source import PairSource
from datamodules.sources.preference_folder import PreferenceFolder


class MosaicPairs(PairSource):
    """Pairs of completions about mosaics, with the kind of their difference."""

    def __init__(
        self,
        collection: CollectionName = "fashion",
        folder: str = FASHION_FOLDER,
        num_train: int = 4096,
        num_val: int = 256,
        careless_share: float = 0.4,
        large_share: float = 0.25,
        seed: int = 0,
        root: str = "runs/data",
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            collection: "fashion" (Fashion-MNIST) or "digits" (handwritten digits of scikit-learn).
            folder: where the four idx files of "fashion" lie.
            num_train: training pairs.
            num_val: held-out pairs, of photographs that training never shows.
            careless_share: share of kind ``careless``, in [0, 1].
            large_share: share of mosaics of 3 x 3 photographs, in [0, 1]; the rest has 2 x 2.
            seed: seed of the world.
            root: where such folders are kept.
        """
        check_share("data.pairs.careless_share", careless_share)
        numbers = {"train": num_train, "val": num_val, "test": num_val}
        self.drawn = _DrawnPairs(
            "mosaic-pairs",
            root,
            {**numbers, "careless_share": careless_share},
            collection=collection, folder=folder, large_share=large_share, seed=seed,
        )  # fmt: skip

    @property
    def folder(self) -> Path:
        """Where the pairs are drawn."""
        return self.drawn.folder

    def prepare(self) -> None:
        """Draw the folder unless it is there."""
        self.drawn.prepare()

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read a split in the way in which any user's folder is read."""
        return PreferenceFolder(self.drawn.path).read(split, max_image_pixels=max_image_pixels)


class _DrawnPairs(MosaicDrawing):
    """The folder of the pairs. A folder of its own class, because ``MosaicDrawing`` is a source of prompts."""

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Drawn]]:
        settings: Mapping[str, Any] = self.settings
        known = self.photographs(split)
        for index in range(settings[split]):
            mosaic = self.mosaic(split, "pairs", index)
            chance = random.Random(position_seed(self.seed, f"mosaic pair/{split}", index))
            question = sample_question(mosaic, known.kinds, QUESTION_KINDS, chance)
            if chance.random() < settings["careless_share"]:
                kind, num_errors = "careless", 0
                rejected = guess(question, known.kinds, chance)
            else:
                kind, num_errors = "errors", chance.choice((0, 0, 1))
                worse = chance.randint(num_errors + 1, len(mosaic.names))
                rejected = solution(question, misread(mosaic, known.kinds, chance, num_errors=worse))
            row = {
                "id": f"{split}-{index:06d}",
                "image": f"images/{split}-{index:06d}.png",
                "question": question.text,
                "facts": list(mosaic.names),
                "chosen": solution(question, misread(mosaic, known.kinds, chance, num_errors=num_errors)),
                "rejected": rejected,
                "kind": kind,
            }
            yield row, (mosaic, known)
