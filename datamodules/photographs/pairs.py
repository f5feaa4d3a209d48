"""Preference pairs about mosaics, drawn by rule, to train the preference reward model on.

``errors`` both completions name every cell; the rejected one names more of them wrongly ``careless``  the chosen
completion names every cell, rightly; the rejected one guesses

Only the mosaic determines the better side, so a reward model can learn the preference only from the picture, and its
pair accuracy on new photographs can be measured.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any

from algorithms import position_seed
from datamodules.photographs.collection import FASHION_FOLDER, CollectionName
from datamodules.photographs.folders import Drawn, MosaicDrawing, check_share
from datamodules.photographs.questions import QUESTION_KINDS, sample_question
from datamodules.photographs.reasoning import guess, misread, solution
from datamodules.sources.drawn_pairs import DrawnPairs, drawn_pair


class MosaicPairs(DrawnPairs):
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
            folder: where the four idx files of "fashion" lie; the default is that of the Debian package, or what the
                environment variable FASHION_MNIST names.
            num_train: training pairs.
            num_val: held-out pairs, of photographs that training never shows.
            careless_share: share of kind ``careless``, in [0, 1].
            large_share: share of mosaics of 3 x 3 photographs, in [0, 1]; the rest has 2 x 2.
            seed: seed of the world.
            root: where such folders are kept.
        """
        check_share("data.pairs.careless_share", careless_share)
        numbers = {"train": num_train, "val": num_val, "test": num_val}
        drawn = _PairDrawing(
            "mosaic-pairs",
            root,
            {**numbers, "careless_share": careless_share},
            collection=collection, folder=folder, large_share=large_share, seed=seed, key="data.pairs",
        )  # fmt: skip
        super().__init__(drawn)


class _PairDrawing(MosaicDrawing):
    """The folder of the pairs."""

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
            chosen = solution(question, misread(mosaic, known.kinds, chance, num_errors=num_errors))
            row = drawn_pair(
                split, index, question=question.text, facts=list(mosaic.names), chosen=chosen, rejected=rejected,
                kind=kind,
            )  # fmt: skip
            yield row, (mosaic, known)
