"""Mosaics: 2 x 2 or 3 x 3 photographs side by side.

A mosaic is a pure function of (seed of the world, split, purpose, index).
"""

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from algorithms import position_seed
from datamodules.photographs.collection import Photographs

PLACES = {
    2: ("top left", "top right", "bottom left", "bottom right"),
    3: (
        "top left", "top middle", "top right", "middle left", "center", "middle right", "bottom left", "bottom middle",
        "bottom right",
    ),
}  # fmt: skip
# Name of a direction -> step to the neighbour, in rows and columns.
DIRECTIONS = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}


@dataclass(frozen=True, slots=True)
class Mosaic:
    """The photograph in each cell, in reading order."""

    names: tuple[str, ...]
    """The kind of the thing in each cell."""

    photographs: tuple[int, ...]
    """The position of each photograph in its split."""

    @property
    def side(self) -> int:
        """Number of cells in a row."""
        return 2 if len(self.names) == 4 else 3

    @property
    def places(self) -> tuple[str, ...]:
        """The name of each cell."""
        return PLACES[self.side]

    @property
    def true_claims(self) -> list[str]:
        """All true claims about single cells: each thing, and each thing with its place."""
        return [*self.names, *placed(self.names)]

    def neighbour(self, cell: int, direction: str) -> int | None:
        """Return the cell next to a cell in a direction; None beyond the border."""
        row, column = divmod(cell, self.side)
        down, right = DIRECTIONS[direction]
        row, column = row + down, column + right
        return row * self.side + column if 0 <= row < self.side and 0 <= column < self.side else None

    def patches(self, per_side: int) -> list[str]:
        """Return the kind in each of ``per_side`` x ``per_side`` patches; ``per_side`` is a multiple of ``side``."""
        return [self.names[cell] for cell, _ in self._patches(per_side)]

    def patch_words(self, per_side: int) -> list[str]:
        """Return the target words of each patch, such that every row of patches reads like a sentence.

        A cell with three patches in a row has "top", "left", "shirt" in each row; a cell with two has "top left",
        "shirt".

        Args:
            per_side: patches in a row of the picture; a multiple of ``side``.
        """
        spelled = [
            spread(place, name, per_side // self.side) for place, name in zip(self.places, self.names, strict=True)
        ]
        return [spelled[cell][column] for cell, column in self._patches(per_side)]

    def _patches(self, per_side: int) -> list[tuple[int, int]]:
        """Return for each patch, in reading order, its cell and its column within the cell."""
        size = per_side // self.side
        return [
            ((row // size) * self.side + column // size, column % size)
            for row in range(per_side)
            for column in range(per_side)
        ]


def spread(place: str, name: str, number: int) -> list[str]:
    """Return so many texts that together spell place and name; the name is the last one.

    When the place has more words than there are texts for it, the last of these texts has all remaining words; when it
    has fewer, the first texts repeat the whole place.
    """
    if number == 1:
        return [f"{place} {name}"]
    words, free = place.split(), number - 1
    said = [*words[: free - 1], " ".join(words[free - 1 :])] if len(words) >= free else [place] * free
    return [*said, name]


def placed(names: tuple[str, ...] | list[str]) -> list[str]:
    """Return one text per cell with place and thing: "top left: bag"."""
    places = PLACES[2 if len(names) == 4 else 3]
    return [f"{place}: {name}" for place, name in zip(places, names, strict=True)]


def sample_mosaic(known: Photographs, *, seed: int, split: str, purpose: str, index: int, large_share: float) -> Mosaic:
    """Return mosaic number ``index`` of a purpose within a split.

    Args:
        known: photographs of the split.
        seed: the seed of the world.
        split: name of the split.
        purpose: which sequence of mosaics, such as "prompts".
        index: position in that sequence.
        large_share: probability of 3 x 3 cells; else 2 x 2.
    """
    chance = random.Random(position_seed(seed, f"mosaic/{split}/{purpose}", index))
    num_cells = 9 if chance.random() < large_share else 4
    chosen = [chance.randrange(len(known.labels)) for _ in range(num_cells)]
    # Every second mosaic repeats kinds, because otherwise most counts would be 0 or 1.
    if chance.random() < 0.5:
        few = chance.sample(range(len(known.kinds)), num_cells // 2)
        chosen = [_any_of(known, few, first, chance) for first in chosen]
    names = tuple(known.kinds[known.labels[photograph]].name for photograph in chosen)
    return Mosaic(names, tuple(chosen))


def draw_mosaic(mosaic: Mosaic, known: Photographs) -> Image.Image:
    """Return the picture, gray, 28 pixels for each cell."""
    rows = np.split(known.pixels[list(mosaic.photographs)], mosaic.side)
    return Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0))


def _any_of(known: Photographs, kinds: list[int], first: int, chance: random.Random) -> int:
    """Return a photograph of one of these kinds: the first draw, or further draws until one fits."""
    # A collection may lack a kind in a split; then any photograph is taken.
    for _ in range(200):
        if known.labels[first] in kinds:
            break
        first = chance.randrange(len(known.labels))
    return first
