"""Questions about a mosaic, each in several wordings, and the answer that follows from a reading of the mosaic.

presence     is there a bag?                                yes or no
count        how many bags are there?                       a number
sum          how many bags and boots are there together?    a number
comparison   are there more bags than boots?                yes or no
place        what is at the top left?                       a kind of thing
neighbour    what is left of the dress?                     a kind of thing; the dress is there once

A reading is a list of names, one for each cell, right or wrong. The truth is one reading; ``conclude`` answers from any
reading.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from datamodules.photographs.collection import Kind
from datamodules.photographs.mosaic import DIRECTIONS, Mosaic

QuestionKind = Literal["presence", "count", "sum", "comparison", "place", "neighbour"]
QUESTION_KINDS: tuple[QuestionKind, ...] = ("presence", "count", "sum", "comparison", "place", "neighbour")

# {one}: a bag. {many}: bags. {more}: the second kind's plural. {where}: at the top left, in the center.
_WORDINGS: dict[QuestionKind, tuple[str, ...]] = {
    "presence": (
        "Is there {one} in the picture?",
        "Do you see {one}?",
        "Does the picture show {one}?",
        "Can {one} be seen here?",
    ),
    "count": (
        "How many {many} are there?",
        "Count the {many}.",
        "What is the number of {many} in the picture?",
        "How many {many} do you see?",
    ),
    "sum": (
        "How many {many} and {more} are there together?",
        "Count the {many} and the {more}: how many is that in all?",
        "What is the number of {many} plus the number of {more}?",
    ),
    "comparison": (
        "Are there more {many} than {more}?",
        "Does the picture show more {many} than {more}?",
        "Is the number of {many} larger than the number of {more}?",
    ),
    "place": (
        "What is {where}?",
        "Which item is {where} of the picture?",
        "Name the item {where}.",
    ),
    "neighbour": (
        "What is {direction} the {name}?",
        "Which item is directly {direction} the {name}?",
        "Name the item {direction} the {name}.",
    ),
}
# Requests to list everything in a mosaic.
REQUESTS = (
    "List what is in the picture.",
    "What do you see?",
    "Describe the picture item by item.",
    "Name every item and its place.",
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a mosaic."""

    kind: QuestionKind
    text: str
    targets: tuple[str, ...]
    """Kinds of things in the question: two for a sum or a comparison, none for a place."""

    cell: int = -1
    """The cell that is asked for; -1 when the question is about no cell."""

    direction: str = ""
    """Direction of a neighbour; empty for other questions."""


def sample_question(
    mosaic: Mosaic, kinds: Sequence[Kind], allowed: Sequence[QuestionKind], chance: random.Random
) -> Question:
    """Return a question; all allowed kinds are equally likely.

    Args:
        mosaic: mosaic that the question is about.
        kinds: all kinds of things of the collection.
        allowed: kinds of question; when the mosaic has no thing whose kind occurs once and that has a neighbour,
            "neighbour" becomes "place".
        chance: generator of all draws.
    """
    kind = chance.choice(list(allowed))
    if kind == "neighbour":
        anchors = [cell for cell, name in enumerate(mosaic.names) if mosaic.names.count(name) == 1]
        if anchors:
            return _neighbour(mosaic, chance.choice(anchors), chance)
        kind = "place"
    if kind == "place":
        cell = chance.randrange(len(mosaic.names))
        place = mosaic.places[cell]
        where = f"in the {place}" if place == "center" else f"at the {place}"
        return Question(kind, _worded(kind, chance, where=where), (), cell)
    by_name = {thing.name: thing for thing in kinds}
    # Half of the first targets are in the mosaic, because otherwise most answers would be "no" and 0.
    there = sorted(set(mosaic.names))
    absent = [name for name in by_name if name not in there]
    first = chance.choice(there if not absent or chance.random() < 0.5 + 0.25 * (kind != "presence") else absent)
    second = chance.choice([name for name in by_name if name != first])
    others = [name for name in there if name != first]
    if others and chance.random() < 0.75:
        second = chance.choice(others)
    # Equal counts have the answer "no", so in other questions the larger count comes first a little more often.
    if kind == "comparison" and chance.random() < 0.65:
        first, second = sorted((first, second), key=mosaic.names.count, reverse=True)
    targets = (first, second) if kind in ("sum", "comparison") else (first,)
    one, many, more = by_name[first].one, by_name[first].many, by_name[second].many
    return Question(kind, _worded(kind, chance, one=one, many=many, more=more), targets)


def conclude(question: Question, reading: Sequence[str]) -> tuple[str, str]:
    """Return the concluding sentence and the answer of a question, from a reading of all cells.

    Args:
        question: the question.
        reading: a name for each cell, right or wrong.
    """
    if question.cell >= 0:
        return found(question, reading[question.cell])
    return counted(question, [list(reading).count(target) for target in question.targets])


def found(question: Question, name: str) -> tuple[str, str]:
    """Return sentence and answer for a question about one cell with this thing."""
    where = f"{question.direction} the {question.targets[0]}" if question.kind == "neighbour" else "there"
    return f"{where.capitalize()}: {name}.", name


def counted(question: Question, counts: Sequence[int]) -> tuple[str, str]:
    """Return sentence and answer for a question about kinds of things with these counts."""
    sentence, answer = _CONCLUSIONS[question.kind](counts)
    return sentence, str(answer)


def answer_of(question: Question, mosaic: Mosaic) -> str:
    """Return the true answer."""
    return conclude(question, mosaic.names)[1]


_CONCLUSIONS: dict[str, Callable[[Sequence[int]], tuple[str, int | str]]] = {
    # The sentence does not name the thing: a claim finder would read even its denial as a claim.
    "presence": lambda n: ("It is there.", "yes") if n[0] else ("It is not there.", "no"),
    "count": lambda n: (f"That makes {n[0]}.", n[0]),
    "sum": lambda n: (f"{n[0]} + {n[1]} = {n[0] + n[1]}.", n[0] + n[1]),
    "comparison": lambda n: (f"{n[0]} against {n[1]}.", "yes" if n[0] > n[1] else "no"),
}


def _neighbour(mosaic: Mosaic, anchor: int, chance: random.Random) -> Question:
    beside = [(way, mosaic.neighbour(anchor, way)) for way in DIRECTIONS]
    way, cell = chance.choice([(way, cell) for way, cell in beside if cell is not None])
    name = mosaic.names[anchor]
    return Question("neighbour", _worded("neighbour", chance, direction=way, name=name), (name,), cell, way)


def _worded(kind: QuestionKind, chance: random.Random, **words: str) -> str:
    return chance.choice(_WORDINGS[kind]).format(**words)
