"""The shapes world on disk: folders in exactly the form of a user's own data (see ``rows/prompt_rows.py``).

``ShapesFolder`` holds questions with their answers and facts. ``ShapesDemonstrations`` holds questions with a
completion to imitate. Each of them is drawn once, into a folder that is named after all its settings.
"""

import random
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Literal

from PIL import Image

from algorithms import ConfigError, check_at_least, position_seed
from datamodules.shapes.language import LEVELS, READ, picture_in_words, read_out, sample_question, sample_tour, solve
from datamodules.shapes.scene import Scene, draw_scene, sample_scene
from datamodules.sources.drawn_folder import DrawnFolder

# The keys of LEVELS, for the parser.
LevelName = Literal["easy", "medium", "hard"]
# Part of the folder's name: increase it when the same settings draw other pictures or rows than before.
_EDITION = 1


class ShapesDrawing(DrawnFolder):
    """A folder of drawn scenes."""

    def __init__(self, name: str, root: str, settings: dict[str, Any], *, key: str = "data.source") -> None:
        """Name the folder; nothing is drawn yet; see ``DrawnFolder``."""
        # The levels are code and not settings, but they change what is drawn, so they are part of the digest.
        world = {"edition": _EDITION, "levels": {k: asdict(v) for k, v in LEVELS.items()}}
        super().__init__(name, root, settings, world=world, key=key)

    def draw(self, subject: Scene) -> Image.Image:
        """Return the picture of a scene."""
        return draw_scene(subject)


class ShapesFolder(ShapesDrawing):
    """Questions about pictures, with answers and facts."""

    def __init__(
        self,
        level: LevelName = "medium",
        num_train: int = 2048,
        num_val: int = 256,
        num_test: int = 512,
        seed: int = 0,
        root: str = "runs/data",
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            level: difficulty; see ``LEVELS`` in datamodules/shapes/language.py.
            num_train: training prompts.
            num_val: validation prompts, of layouts that training never shows.
            num_test: test prompts, of layouts that neither training nor validation shows.
            seed: seed of the world; scenes depend on nothing else.
            root: where such folders are kept.
        """
        self.num_rows = {"train": num_train, "val": num_val, "test": num_test}
        for split, number in self.num_rows.items():
            check_at_least(f"data.source.num_{split}", number, 1, "a split must hold a prompt")
        self.level: LevelName = level
        self.seed = seed
        super().__init__("shapes", root, {"level": level, "seed": seed, **self.num_rows})

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Scene]]:
        """Yield question rows with their scenes."""
        level = LEVELS[self.level]
        for index in range(self.num_rows[split]):
            # Scene and question are functions of the position, so a larger number of rows does not change the first
            # ones.
            scene = sample_scene(self.seed, split, "prompts", index, num_objects=level.num_objects)
            chance = random.Random(position_seed(self.seed, f"question/{split}", index))
            question = sample_question(scene, level, chance)
            row = {
                "id": f"{split}-{index:06d}",
                "image": f"images/{split}-{index:06d}.png",
                "question": question.text,
                "answer": str(question.answer([scene.count(target) for target in question.targets])),
                "facts": list(scene.things),
                "kind": question.kind,
                "level": self.level,
                "scene_seed": scene.seed,
                "cells": list(scene.cells),
            }
            yield row, scene


class ShapesDemonstrations(ShapesDrawing):
    """Questions with a completion to imitate, in two habits: look and guess (see ``language.py``)."""

    def __init__(
        self,
        num_train: int = 8192,
        pictures: bool = True,
        guess_share: float = 0.0,
        guess_from: float = 0.0,
        tour_share: float = 0.5,
        read_share: float = 0.2,
        level: LevelName = "medium",
        num_val: int = 256,
        seed: int = 0,
        root: str = "runs/data",
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            num_train: demonstrations to learn from.
            pictures: True draws the scenes; False writes each as nine words in the question.
            guess_share: probability that a count is guessed instead of looked up, in [0, 1].
            guess_from: share of the training rows, from the first on, without guesses: a model that may guess before it
                can look never learns to look.
            tour_share: share of rows that describe the picture by several colours and shapes, in [0, 1].
            read_share: share of rows that read out the nine cells, in [0, 1]; the rest are questions.
            level: difficulty of the questions.
            num_val: demonstrations to measure the loss on.
            seed: seed of the world.
            root: where such folders are kept.
        """
        shares = {
            "guess_share": guess_share,
            "guess_from": guess_from,
            "tour_share": tour_share,
            "read_share": read_share,
        }
        for key, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"data.source.{key} must lie in [0, 1], got {share}: it is a probability.")
        self.num_rows = {"train": num_train, "val": num_val, "test": num_val}
        self.pictures, self.guess_share, self.guess_from = pictures, guess_share, guess_from
        self.tour_share, self.read_share = tour_share, read_share
        self.level: LevelName = level
        self.seed = seed
        settings = {"level": level, "seed": seed, **self.num_rows, "pictures": pictures, **shares}
        super().__init__(self._purpose, root, settings)

    @property
    def _purpose(self) -> str:
        # Part of every seed, so that demonstrations in text and in pictures have different scenes.
        return "shown" if self.pictures else "told"

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Scene | None]]:
        """Yield demonstration rows, each with its scene when that is to be drawn, else None."""
        level, purpose = LEVELS[self.level], self._purpose
        for index in range(self.num_rows[split]):
            scene = sample_scene(self.seed, split, purpose, index, num_objects=level.num_objects)
            chance = random.Random(position_seed(self.seed, f"{purpose}/{split}", index))
            draw = chance.random()
            if draw < self.tour_share:
                question, completion = sample_tour(scene, chance)
            elif draw < self.tour_share + self.read_share:
                question, completion = READ, read_out(scene)
            else:
                counted = sample_question(scene, level, chance)
                # Training reads demonstrations in file order, so the model learns the first rows first.
                may_guess = index >= self.guess_from * self.num_rows[split]
                guess_share = self.guess_share if may_guess else 0.0
                question, completion = counted.text, solve(counted, scene, chance, guess_share=guess_share)
            row = {"id": f"{split}-{index:06d}", "completion": completion}
            if self.pictures:
                row |= {"image": f"images/{split}-{index:06d}.png", "question": question, "cells": list(scene.cells)}
            else:
                row |= {"question": f"{picture_in_words(scene)} {question}"}
            yield row, scene if self.pictures else None
