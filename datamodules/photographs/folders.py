"""Mosaics on disk: folders in exactly the form of a user's own data (see ``rows/prompt_rows.py``).

``MosaicFolder`` holds questions with their answers and facts. ``MosaicDemonstrations`` holds requests and questions
with a completion to imitate. Each of them is drawn once, into a folder that is named after all its settings. The facts
are the things of the mosaic, so the folders also serve ``PopeFolder`` and CHAIR; ``true_claims`` has them with their
places too, for ``GrammarJudge``.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from algorithms import ConfigError, check_at_least, position_seed
from datamodules.photographs.collection import FASHION_FOLDER, CollectionName, Photographs, photographs
from datamodules.photographs.mosaic import Mosaic, draw_mosaic, sample_mosaic
from datamodules.photographs.questions import (
    QUESTION_KINDS,
    REQUESTS,
    QuestionKind,
    answer_of,
    sample_question,
)
from datamodules.photographs.reasoning import guess, listing, solution
from datamodules.sources.drawn_folder import DrawnFolder

# Part of the folders' names: increase it when the same settings draw other pictures or rows than before.
_EDITION = 2
# Patches on a side of the tower's picture; a multiple of both 2 and 3, the sides of mosaics.
PATCHES = 6
# Gray level of a picture without content, of 255.
_GRAY = 128

Drawn = tuple[Mosaic, Photographs]


class MosaicDrawing(DrawnFolder):
    """A folder of mosaics of the photographs of one collection."""

    def __init__(
        self,
        name: str,
        root: str,
        settings: dict[str, Any],
        *,
        collection: CollectionName,
        folder: str,
        large_share: float,
        seed: int,
        is_blind: bool = False,
        key: str = "data.source",
    ) -> None:
        """Name the folder; nothing is drawn yet.

        Args:
            name: first part of the folder's name.
            root: where such folders are kept.
            settings: settings that determine the drawing, besides the arguments below.
            collection: name of the collection of photographs.
            folder: folder of the collection's files; it is part of the name, because another folder may have other
                files.
            large_share: share of mosaics of 3 x 3.
            seed: seed of the world.
            is_blind: draw gray pictures without content.
            key: setting that holds the folder, for errors.
        """
        check_share(f"{key}.large_share", large_share)
        shared = {"collection": collection, "folder": folder, "large_share": large_share, "seed": seed}
        super().__init__(name, root, shared | settings, world={"edition": _EDITION}, key=key)
        self.collection: CollectionName = collection
        self.photograph_folder = folder
        self.large_share, self.seed, self.is_blind = large_share, seed, is_blind

    def photographs(self, split: str) -> Photographs:
        """Return the photographs of a split."""
        return photographs(self.collection, split, self.photograph_folder, key=self.key)

    def mosaic(self, split: str, purpose: str, index: int) -> Mosaic:
        """Return mosaic number ``index`` of a purpose."""
        return sample_mosaic(
            self.photographs(split),
            seed=self.seed, split=split, purpose=purpose, index=index, large_share=self.large_share,
        )  # fmt: skip

    def draw(self, subject: Drawn) -> Image.Image:
        """Return the picture of a mosaic."""
        picture = draw_mosaic(*subject)
        return Image.fromarray(np.full_like(np.asarray(picture), _GRAY)) if self.is_blind else picture


class MosaicFolder(MosaicDrawing):
    """Questions about mosaics, with answers and facts."""

    def __init__(
        self,
        collection: CollectionName = "fashion",
        folder: str = FASHION_FOLDER,
        num_train: int = 4096,
        num_val: int = 256,
        num_test: int = 512,
        large_share: float = 0.25,
        kinds: Sequence[QuestionKind] = QUESTION_KINDS,
        blind: bool = False,
        seed: int = 0,
        root: str = "runs/data",
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            collection: "fashion" (Fashion-MNIST) or "digits" (handwritten digits of scikit-learn).
            folder: where the four idx files of "fashion" lie; the default is that of the Debian package, or what the
                environment variable FASHION_MNIST names.
            num_train: training prompts.
            num_val: validation prompts, of photographs that training never shows.
            num_test: test prompts, of photographs that neither training nor validation shows.
            large_share: share of mosaics of 3 x 3 photographs, in [0, 1]; the rest has 2 x 2.
            kinds: kinds of question, each as likely.
            blind: true replaces every picture by a gray one, with the same questions and answers, so that right answers
                can only be guesses.
            seed: seed of the world.
            root: where such folders are kept.
        """
        self.num_rows = {"train": num_train, "val": num_val, "test": num_test}
        for split, number in self.num_rows.items():
            check_at_least(f"data.source.num_{split}", number, 1, "a split must hold a prompt")
        if not kinds or not set(kinds) <= set(QUESTION_KINDS):
            raise ConfigError(
                f"data.source.kinds must name one or more of {', '.join(QUESTION_KINDS)}, got {list(kinds)}."
            )
        self.kinds = tuple(kinds)
        super().__init__(
            "blind-mosaics" if blind else "mosaics",
            root,
            {**self.num_rows, "kinds": list(kinds), "blind": blind},
            collection=collection, folder=folder, large_share=large_share, seed=seed, is_blind=blind,
        )  # fmt: skip

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Drawn]]:
        """Yield question rows with their mosaics."""
        known = self.photographs(split)
        for index in range(self.num_rows[split]):
            # Mosaic and question are functions of the position, so a larger number of rows does not change the first
            # ones.
            mosaic = self.mosaic(split, "prompts", index)
            chance = random.Random(position_seed(self.seed, f"mosaic question/{split}", index))
            question = sample_question(mosaic, known.kinds, self.kinds, chance)
            row = {
                "id": f"{split}-{index:06d}",
                "image": f"images/{split}-{index:06d}.png",
                "question": question.text,
                "answer": answer_of(question, mosaic),
                "facts": list(mosaic.names),
                "true_claims": mosaic.true_claims,
                "kind": question.kind,
                "side": mosaic.side,
                "photographs": list(mosaic.photographs),
            }
            yield row, (mosaic, known)


class MosaicDemonstrations(MosaicDrawing):
    """Requests and questions with a completion to imitate, in two habits: careful and careless (``reasoning.py``)."""

    def __init__(
        self,
        collection: CollectionName = "fashion",
        folder: str = FASHION_FOLDER,
        num_train: int = 16384,
        num_val: int = 256,
        large_share: float = 0.25,
        request_share: float = 0.5,
        careless_share: float = 0.0,
        careless_from: float = 0.0,
        seed: int = 0,
        root: str = "runs/data",
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            collection: "fashion" (Fashion-MNIST) or "digits" (handwritten digits of scikit-learn).
            folder: where the four idx files of "fashion" lie; the default is that of the Debian package, or what the
                environment variable FASHION_MNIST names.
            num_train: demonstrations to learn from.
            num_val: demonstrations to measure the loss on.
            large_share: share of mosaics of 3 x 3 photographs, in [0, 1]; the rest has 2 x 2.
            request_share: share of rows that ask to list everything, in [0, 1]; the rest are questions.
            careless_share: probability that the completion answers without looking, in [0, 1].
            careless_from: share of the training rows, from the first on, without careless completions: a model that may
                guess before it can look never learns to look.
            seed: seed of the world.
            root: where such folders are kept.
        """
        shares = {"request_share": request_share, "careless_share": careless_share, "careless_from": careless_from}
        for key, share in shares.items():
            check_share(f"data.source.{key}", share)
        self.num_rows = {"train": num_train, "val": num_val, "test": num_val}
        self.request_share, self.careless_share, self.careless_from = shares.values()
        super().__init__(
            "mosaics-shown",
            root,
            {**self.num_rows, **shares},
            collection=collection, folder=folder, large_share=large_share, seed=seed,
        )  # fmt: skip

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Drawn]]:
        """Yield demonstration rows with their mosaics."""
        known = self.photographs(split)
        for index in range(self.num_rows[split]):
            mosaic = self.mosaic(split, "demonstrations", index)
            chance = random.Random(position_seed(self.seed, f"mosaic demonstration/{split}", index))
            if chance.random() < self.request_share:
                text, completion = chance.choice(REQUESTS), listing(mosaic.names)
            else:
                question = sample_question(mosaic, known.kinds, QUESTION_KINDS, chance)
                # Training reads demonstrations in file order, so the model learns the first rows first.
                may_guess = index >= self.careless_from * self.num_rows[split]
                is_careless = chance.random() < self.careless_share and may_guess
                text = question.text
                completion = guess(question, known.kinds, chance) if is_careless else solution(question, mosaic.names)
            row = {
                "id": f"{split}-{index:06d}",
                "image": f"images/{split}-{index:06d}.png",
                "question": text,
                "completion": completion,
                "facts": list(mosaic.names),
                "true_claims": mosaic.true_claims,
                "cells": mosaic.patches(PATCHES),
                "patch_words": mosaic.patch_words(PATCHES),
            }
            yield row, (mosaic, known)


def check_share(key: str, share: float) -> None:
    """Raise ConfigError, with the key, unless a share lies in [0, 1]."""
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"{key} must lie in [0, 1], got {share}: it is a share of rows.")
