"""The pictures of the shapes world: scenes of coloured shapes on a 3 x 3 grid, drawn as 48 x 48 RGB images.

A scene is a pure function of (world seed, split, index). Its layout, the thing in each cell, also decides its split: a
layout of training can never appear in validation or test.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from PIL import Image, ImageDraw

from algorithms import position_seed

COLORS = {"red": (214, 48, 49), "green": (39, 174, 96), "blue": (41, 98, 255), "yellow": (241, 196, 15)}
SHAPES = ("circle", "square", "triangle", "star")
THINGS = tuple(f"{color}-{shape}" for color in COLORS for shape in SHAPES)
EMPTY = "empty"
GRID = 3
NUM_CELLS = GRID * GRID
CELL_PIXELS = 16
IMAGE_PIXELS = GRID * CELL_PIXELS

# Split of a layout, by its hash modulo ten: eight values for training, one for validation, one for test.
_LAYOUT_SHARES = {"train": range(8), "val": range(8, 9), "test": range(9, 10)}


@dataclass(frozen=True, slots=True)
class Scene:
    """The thing in each cell. ``seed`` fixes the jitter of size, place and colour when the scene is drawn."""

    cells: tuple[str, ...]
    """Nine words in reading order: a thing such as "red-circle", or "empty"."""

    seed: int

    @property
    def things(self) -> tuple[str, ...]:
        """The things in reading order, repeats kept."""
        return tuple(cell for cell in self.cells if cell != EMPTY)

    def count(self, target: str) -> int:
        """Return the number of things that match a colour, a shape or a whole thing."""
        return len(self.matching(target))

    def matching(self, target: str) -> list[str]:
        """Return the things that match a target, in reading order."""
        return [thing for thing in self.things if matches(thing, target)]


def matches(thing: str, target: str) -> bool:
    """Return whether a thing is of a colour, of a shape, or that very thing."""
    return target == thing or target in thing.split("-")


def sample_scene(world_seed: int, split: str, purpose: str, index: int, *, num_objects: Sequence[int]) -> Scene:
    """Return scene number ``index`` of a purpose within a split.

    Args:
        world_seed: the seed of the world.
        split: "train", "val" or "test"; decides which layouts are allowed.
        purpose: which sequence of scenes, such as "prompts" or "demonstrations".
        index: position in that sequence.
        num_objects: possible numbers of things, all equally likely.
    """
    # Scenes are drawn until one has a layout of this split; for val and test one in ten has.
    for attempt in count():
        seed = position_seed(world_seed, f"scene/{split}/{purpose}", index, attempt)
        chance = random.Random(seed)
        cells = [EMPTY] * NUM_CELLS
        for cell in chance.sample(range(NUM_CELLS), chance.choice(num_objects)):
            cells[cell] = chance.choice(THINGS)
        if layout_split(cells) == split:
            return Scene(tuple(cells), seed)
    raise AssertionError("unreachable: count() does not end")


def layout_split(cells: Sequence[str]) -> str:
    """Return the one split in which this layout may appear."""
    tenth = position_seed(0, " ".join(cells)) % 10
    return next(split for split, tenths in _LAYOUT_SHARES.items() if tenth in tenths)


def draw_scene(scene: Scene) -> Image.Image:
    """Return the picture of a scene, 48 x 48 RGB, jittered by the scene's own seed."""
    # Another seed than the scene's own, from which the layout was drawn: jitter must not be correlated with the layout.
    chance = random.Random(scene.seed + 1)
    background = tuple(chance.randint(225, 255) for _ in range(3))
    image = Image.new("RGB", (IMAGE_PIXELS, IMAGE_PIXELS), background)
    canvas = ImageDraw.Draw(image)
    for cell, thing in enumerate(scene.cells):
        if thing != EMPTY:
            _draw_thing(canvas, cell, thing, chance)
    return image


def _draw_thing(canvas: ImageDraw.ImageDraw, cell: int, thing: str, chance: random.Random) -> None:
    color, shape = thing.split("-")
    # Up to 24 of 255 per channel: enough for variety, too little to turn one colour into another.
    fill = tuple(max(0, min(255, channel + chance.randint(-24, 24))) for channel in COLORS[color])
    # In pixels. At most 6.5 + 1.0 from the middle of a 16-pixel cell, so a thing never leaves its cell.
    radius = chance.uniform(4.5, 6.5)
    middle = CELL_PIXELS / 2
    x = (cell % GRID) * CELL_PIXELS + middle + chance.uniform(-1.0, 1.0)
    y = (cell // GRID) * CELL_PIXELS + middle + chance.uniform(-1.0, 1.0)
    if shape == "circle":
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif shape == "square":
        # Half of the side, chosen so that squares and circles have about the same area.
        side = radius * 0.85
        canvas.rectangle((x - side, y - side, x + side, y + side), fill=fill)
    else:
        corners = _corners(3, 1.0) if shape == "triangle" else _corners(5, 0.42)
        canvas.polygon([(x + radius * a, y + radius * b) for a, b in corners], fill=fill)


def _corners(num_points: int, inner: float) -> list[tuple[float, float]]:
    """Return the corners of a regular polygon, point up; ``inner`` below 1 adds the dents of a star."""
    steps = num_points if inner == 1.0 else 2 * num_points
    radii = [1.0 if inner == 1.0 or step % 2 == 0 else inner for step in range(steps)]
    angles = [2 * math.pi * step / steps - math.pi / 2 for step in range(steps)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]
