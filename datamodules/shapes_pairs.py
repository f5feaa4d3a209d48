"""Preference pairs of the shapes world, drawn by rule, to train the preference reward model on.

``errors``  both completions look; the rejected one misreads the picture, or misreads more of it
``guess``   the chosen completion looks, the rejected one guesses

Which is better follows from the scene alone: fewer false or missing things. So a reward model can learn it only by
looking at the picture, and its pair accuracy on new layouts can be measured.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from algorithms import ConfigError, position_seed
from datamodules.pair_rows import PairRows
from datamodules.pair_sources import PairSource, PreferenceFolder
from datamodules.shapes import DrawnFolder, LevelName
from datamodules.shapes_language import LEVELS, Question, guessed, misread, sample_question, solution, solve
from datamodules.shapes_scene import Scene, sample_scene


class ShapesPairs(PairSource):
    """Pairs of completions about pictures, with the kind of their difference."""

    def __init__(
        self,
        num_train: int = 4096,
        num_val: int = 512,
        guess_share: float = 0.4,
        level: LevelName = "medium",
        seed: int = 0,
        root: str = "runs/data",
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            num_train: training pairs.
            num_val: held-out pairs, of layouts that training never shows.
            guess_share: share of pairs of kind ``guess``, in [0, 1].
            level: difficulty of the questions.
            seed: seed of the world.
            root: where such folders are kept.
        """
        if not 0.0 <= guess_share <= 1.0:
            raise ConfigError(f"data.pairs.guess_share must lie in [0, 1], got {guess_share}: it is a share of pairs.")
        self.drawn = _DrawnPairs(num_train, num_val, guess_share, level, seed, root)

    @property
    def folder(self) -> Path:
        """Where the pairs are drawn."""
        return self.drawn.folder

    def prepare(self) -> None:
        """Draw the folder unless it is there."""
        self.drawn.prepare()

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read a split as any user's folder is read."""
        return PreferenceFolder(self.drawn.path).read(split, max_image_pixels=max_image_pixels)


class _DrawnPairs(DrawnFolder):
    """The rows of the pairs on disk."""

    def __init__(
        self, num_train: int, num_val: int, guess_share: float, level: LevelName, seed: int, root: str
    ) -> None:
        self.num_rows = {"train": num_train, "val": num_val, "test": num_val}
        self.guess_share, self.level, self.seed = guess_share, level, seed
        settings = {"level": level, "seed": seed, "guess_share": guess_share, **self.num_rows}
        super().__init__("pairs", root, settings)

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Scene]]:
        level = LEVELS[self.level]
        for index in range(self.num_rows[split]):
            scene = sample_scene(self.seed, split, "pairs", index, num_objects=level.num_objects)
            chance = random.Random(position_seed(self.seed, f"pairs/{split}", index))
            question = sample_question(scene, level, chance)
            kind = "guess" if chance.random() < self.guess_share else "errors"
            chosen, rejected = (
                _guess_pair(question, scene, chance) if kind == "guess" else _error_pair(question, scene, chance)
            )
            row = {
                "id": f"{split}-{index:06d}",
                "image": f"images/{split}-{index:06d}.png",
                "question": question.text,
                "facts": list(scene.things),
                "chosen": chosen,
                "rejected": rejected,
                "kind": kind,
            }
            yield row, scene


def num_errors(question: Question, scene: Scene, listings: Sequence[Sequence[str]]) -> int:
    """Return how many things the listings name that are not there, plus how many they miss."""
    total = 0
    for target, listed in zip(question.targets, listings, strict=True):
        said, there = Counter(listed), Counter(scene.matching(target))
        total += (said - there).total() + (there - said).total()
    return total


def _error_pair(question: Question, scene: Scene, chance: random.Random) -> tuple[str, str]:
    """Return a reading of a picture with at most one error, and one that has nothing to do with it."""
    better = misread(question, scene, chance, num_errors=chance.choice([0, 0, 1]))
    verbs = ["look"] * len(question.targets)
    while True:
        worse = [guessed(target, chance) for target in question.targets]
        # What is made up may be right by luck.
        if num_errors(question, scene, better) < num_errors(question, scene, worse):
            return solution(question, verbs, better), solution(question, verbs, worse)


def _guess_pair(question: Question, scene: Scene, chance: random.Random) -> tuple[str, str]:
    """Return a reading without error, and a guess."""
    return solve(question, scene, chance, guess_share=0.0), solve(question, scene, chance, guess_share=1.0)
