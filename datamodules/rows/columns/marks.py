"""Converts image marks of any convention to ``<image>``, and sorts the images by their marks.

<image>  <img>  <IMAGE>                              the next image
<image1>  <image 1>  <image_1>  <|image_1|>          the image with this number
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from datamodules.rows.cells import IMAGE_MARK, BadRow

_MARK = re.compile(r"<(?:\|(?:image|img)[ _-]?(\d+)\||\s*(?:image|img)(?:[ _-]?#?(\d+))?\s*)>", re.IGNORECASE)
_MISMATCH = "image marks do not match images"


class PlacedMarks(NamedTuple):
    """Texts whose marks are all ``<image>``, and the image of each mark."""

    question: str
    choices: tuple[str, ...]
    order: tuple[int, ...]
    """Positions of the row's images in the order of the marks; without marks all images in their own order."""

    num_without_mark: int
    """Number of images that no numbered mark names; their marks are put in front."""


def place_marks(question: str, choices: Sequence[str], numbers: Sequence[int]) -> PlacedMarks:
    """Find the image of each mark.

    A question without marks needs none, because all its images come first.

    Args:
        question: may hold marks of any convention.
        choices: may hold marks too; their images come after those of the question.
        numbers: number of each image: the number in its column's name, or its place in the list, from 1 on.

    Raises:
        BadRow: "image marks do not match images".
    """
    texts = [question, *choices]
    marks = [match for text in texts for match in _MARK.finditer(text)]
    named = [int(match[1] or match[2]) for match in marks if match[1] or match[2]]
    plain = [_MARK.sub(IMAGE_MARK, text) for text in texts]
    if named and len(named) < len(marks):
        raise BadRow(_MISMATCH, f"{marks[0][0]} and marks with and without number in one row")
    if not named:
        if len(marks) not in (0, len(numbers)):
            raise BadRow(_MISMATCH, f"{len(marks)} x {IMAGE_MARK}, {len(numbers)} x image")
        return PlacedMarks(plain[0], tuple(plain[1:]), tuple(range(len(numbers))), 0)
    order = _positions(named, numbers)
    rest = [position for position in range(len(numbers)) if position not in order]
    return PlacedMarks(f"{IMAGE_MARK}\n" * len(rest) + plain[0], tuple(plain[1:]), (*rest, *order), len(rest))


def has_mark(text: str) -> bool:
    """Return whether a text holds an image mark of any convention."""
    return _MARK.search(text) is not None


def _positions(named: Sequence[int], numbers: Sequence[int]) -> list[int]:
    # Some files count from 0.
    shift = 1 if 0 in named and 0 not in numbers else 0
    position_of = {number: position for position, number in enumerate(numbers)}
    missing = [number for number in named if number + shift not in position_of]
    if missing:
        have = f"the row has image {', '.join(map(str, numbers))}" if numbers else "the row has no image"
        raise BadRow(_MISMATCH, f"a mark names image {missing[0]}, but {have}")
    return [position_of[number + shift] for number in named]
