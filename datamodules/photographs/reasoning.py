r"""Completions to imitate: reasoning that names what is seen, and the answer in a box.

careful    top left: shirt; top right: bag; bottom left: boot; bottom right: bag. That makes 2.</think>\boxed{2}
careless   At a glance: bag. That makes 1.</think>\boxed{1}

The careful habit names every cell. The careless habit names what might be there, without regard to the picture, and is
right only by luck. A policy with both habits can be improved by reinforcement learning.

A claim is a thing with its place, or a thing alone, which a clause may name as often as the picture shows it.
"""

import random
import re
from collections.abc import Sequence

from datamodules.photographs.collection import KINDS, Kind
from datamodules.photographs.mosaic import PLACES, Mosaic, placed
from datamodules.photographs.questions import Question, conclude, counted, found
from hallucination import ClaimGrammar

_GLANCE = "At a glance"


def claim_grammar(kinds: Sequence[Kind]) -> ClaimGrammar:
    """Return the grammar of claims about things of these kinds."""
    places = "|".join(dict.fromkeys(place for side in PLACES.values() for place in side))
    names = "|".join(re.escape(kind.name) for kind in kinds)
    # A hyphen is part of a word: a T-shirt is no shirt.
    return ClaimGrammar(mention=rf"(?:\b(?:{places}): )?(?<![\w-])(?:{names})(?![\w-])", clause_end=r"[=.;\n]")


CLAIM_GRAMMAR = claim_grammar(KINDS["fashion"])


def listing(reading: Sequence[str]) -> str:
    """Return the listing of all cells with the names of a reading."""
    return "; ".join(placed(list(reading))) + "."


def solution(question: Question, reading: Sequence[str]) -> str:
    """Return the careful completion for this reading."""
    sentence, answer = conclude(question, reading)
    return f"{listing(reading)} {sentence}{boxed(answer)}"


def guess(question: Question, kinds: Sequence[Kind], chance: random.Random) -> str:
    """Return a careless completion, drawn without regard to the picture."""
    if question.cell >= 0:
        name = chance.choice(kinds).name
        sentence, answer = found(question, name)
        return f"{_GLANCE}: {name}. {sentence}{boxed(answer)}"
    # Numbers that are common, with 0 as likely as 1.
    counts = [chance.choice((0, 1, 1, 2, 3) if question.kind != "presence" else (0, 1)) for _ in question.targets]
    named = [target for target, count in zip(question.targets, counts, strict=True) for _ in range(count)]
    sentence, answer = counted(question, counts)
    return f"{_GLANCE}: {', '.join(named) or 'none'}. {sentence}{boxed(answer)}"


def misread(mosaic: Mosaic, kinds: Sequence[Kind], chance: random.Random, *, num_errors: int) -> list[str]:
    """Return a reading in which so many cells have a wrong name."""
    reading = list(mosaic.names)
    for cell in chance.sample(range(len(reading)), min(num_errors, len(reading))):
        reading[cell] = chance.choice([kind.name for kind in kinds if kind.name != reading[cell]])
    return reading


def boxed(answer: str) -> str:
    """Return the end of every completion: the reasoning closed, the answer in a box."""
    return f"</think>\\boxed{{{answer}}}"
