"""The language of the shapes world: questions about a scene, reasoning that answers them, and their vocabulary.

Every thing is one word, so one visual token can represent it. Reasoning lists what it counts,

    look red : red-circle red-square = 2 </think> Answer: \\boxed{ 2 }

so that each claim can be checked against the scene. There are two habits. "look" lists what is there. "guess" lists
what might be there, and is right only by luck. Reinforcement learning can teach a base model with both habits to look
before it answers.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from datamodules.shapes.scene import COLORS, EMPTY, NUM_CELLS, SHAPES, THINGS, Scene, matches
from hallucination import ClaimGrammar

TOUR_STOPS = 4
READ = "read the picture ."
MAX_ANSWER = 2 * NUM_CELLS
# The whole vocabulary. configs/tiny/stages/language_model.yaml has a copy, and a test compares the two.
WORDS = (
    *THINGS, *COLORS, *SHAPES, EMPTY, *map(str, range(MAX_ANSWER + 1)),
    *["user", "assistant", "system", "picture", ":", "how", "many", "plus", "more", "than", "?", "describe", "read", "the", ".", "look", "guess", "none", "=", "+", "-", "Answer:"],
    r"\boxed{", "}",
)  # fmt: skip
CLAIM_GRAMMAR = ClaimGrammar(mention=r"\b(?:{})-(?:{})\b".format("|".join(COLORS), "|".join(SHAPES)), clause_end="=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A difficulty: the number of things in a scene, and the questions about them."""

    num_objects: tuple[int, ...]
    """Possible numbers of things in a scene, all equally likely."""

    kinds: tuple[str, ...]
    """Kinds of question, all equally likely: "count", "sum", "difference"."""

    targets: tuple[str, ...]
    """Kinds of targets of a question: "color", "shape", "thing"."""


LEVELS = {
    "easy": Level(num_objects=(2, 3, 4), kinds=("count",), targets=("color",)),
    "medium": Level(num_objects=(3, 4, 5, 6, 7), kinds=("count", "sum", "difference"), targets=("color", "shape")),
    "hard": Level(num_objects=(5, 6, 7, 8), kinds=("sum", "difference"), targets=("color", "shape", "thing")),
}
_TARGETS: dict[str, Sequence[str]] = {"color": tuple(COLORS), "shape": SHAPES, "thing": THINGS}


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a scene."""

    kind: str
    targets: tuple[str, ...]
    """The counted targets: one for a count, two for a sum or a difference."""

    @property
    def text(self) -> str:
        """The question in words."""
        if self.kind == "count":
            return f"how many {self.targets[0]} ?"
        if self.kind == "sum":
            return f"how many {self.targets[0]} plus {self.targets[1]} ?"
        return f"how many more {self.targets[0]} than {self.targets[1]} ?"

    def answer(self, counts: Sequence[int]) -> int:
        """Return the answer from the count of each target."""
        if self.kind == "count":
            return counts[0]
        return counts[0] + counts[1] if self.kind == "sum" else counts[0] - counts[1]


def sample_question(scene: Scene, level: Level, chance: random.Random) -> Question:
    """Return a question that the scene can answer with a number that is not negative."""
    kind = chance.choice(level.kinds)
    targets = _TARGETS[chance.choice(level.targets)]
    # Three of four first targets are in the scene, because otherwise most answers would be 0.
    present = [t for t in targets if scene.count(t)]
    first = chance.choice(present if present and chance.random() < 0.75 else targets)
    if kind == "count":
        return Question(kind, (first,))
    second = chance.choice([t for t in targets if t != first])
    # The larger count comes first, because the language has no negative numbers.
    if kind == "difference" and scene.count(second) > scene.count(first):
        first, second = second, first
    return Question(kind, (first, second))


def solve(question: Question, scene: Scene, chance: random.Random, *, guess_share: float) -> str:
    """Return reasoning and boxed answer; each count is a guess with probability ``guess_share``."""
    verbs: list[str] = []
    listings: list[list[str]] = []
    for target in question.targets:
        is_guess = chance.random() < guess_share
        listings.append(guessed(target, chance) if is_guess else scene.matching(target))
        verbs.append("guess" if is_guess else "look")
    return solution(question, verbs, listings)


def solution(question: Question, verbs: Sequence[str], listings: Sequence[Sequence[str]]) -> str:
    """Return reasoning that lists these things for each target, and the answer that follows from it."""
    clauses = [_clause(*parts) for parts in zip(verbs, question.targets, listings, strict=True)]
    counts = [len(listed) for listed in listings]
    # A guess may contradict the question, which implies that the first count is larger.
    if question.kind == "difference" and counts[1] > counts[0]:
        counts[1] = counts[0]
    answer = question.answer(counts)
    if question.kind != "count":
        sign = "+" if question.kind == "sum" else "-"
        clauses.append(f"{counts[0]} {sign} {counts[1]} = {answer}")
    return f"{' '.join(clauses)} {boxed(answer)}"


def misread(question: Question, scene: Scene, chance: random.Random, *, num_errors: int) -> list[list[str]]:
    """Return listings for each target with this many errors: a thing is missed, added, or replaced by another."""
    listings = [scene.matching(target) for target in question.targets]
    for _ in range(num_errors):
        which = chance.randrange(len(listings))
        listed, target = listings[which], question.targets[which]
        candidates = [thing for thing in THINGS if matches(thing, target)]
        # An empty listing has nothing to miss or to swap.
        error = chance.choice(["miss", "swap", "add"]) if listed else "add"
        if error != "add":
            taken = listed.pop(chance.randrange(len(listed)))
            candidates = [thing for thing in candidates if thing != taken]
        if error != "miss":
            listed.insert(chance.randint(0, len(listed)), chance.choice(candidates))
    return listings


def sample_tour(scene: Scene, chance: random.Random) -> tuple[str, str]:
    """Return a request to describe a scene by several colours and shapes, and the description.

    A tour has four times as many listings per row as a question. Without tours the language model did not learn to find
    the things of a question, even in three times as many steps.
    """
    # All different, so that no clause repeats an earlier one.
    stops = chance.sample([*COLORS, *SHAPES], TOUR_STOPS)
    clauses = [_clause("look", stop, scene.matching(stop)) for stop in stops]
    return f"describe {' '.join(stops)} .", f"{' '.join(clauses)} {boxed(scene.count(stops[-1]))}"


def read_out(scene: Scene) -> str:
    """Return the nine cells in reading order and, boxed, the number of cells.

    Each word depends on one cell only, so an adapter can learn from these rows under a frozen language model.
    """
    return f"{' '.join(scene.cells)} {boxed(NUM_CELLS)}"


def boxed(answer: int) -> str:
    """Return the end of every completion: the reasoning closed, the answer in a box."""
    # "<think>" is left out, because the prompt's template ends with it.
    return f"</think> Answer: \\boxed{{ {answer} }}"


def picture_in_words(scene: Scene) -> str:
    """Return the scene as nine words, which stand where an image would have its nine tokens."""
    return " ".join(scene.cells)


def _clause(verb: str, target: str, listed: Sequence[str]) -> str:
    return f"{verb} {target} : {' '.join(listed) or 'none'} = {len(listed)}"


def guessed(target: str, chance: random.Random) -> list[str]:
    """Return zero to four things that match a target, drawn without regard to the scene."""
    candidates = [thing for thing in THINGS if matches(thing, target)]
    return [chance.choice(candidates) for _ in range(chance.randint(0, 4))]
