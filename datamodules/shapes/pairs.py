"""Preference pairs of the shapes world, drawn by rule, to train the preference reward model on.

``errors``  both completions look; the rejected one misreads the picture, or misreads more of it
``guess``   the chosen completion looks, the rejected one guesses
``detail``  the rejected completion is the truth, the chosen one the truth and things that are not there
``broken``  the rejected completion is the chosen one, cut off, miscounted or stuttered; both may claim too much

In the first two kinds only the scene determines the better side, which is the one with fewer false or missing things.
So a reward model can learn the preference only from the picture, and its pair accuracy on new layouts can be measured.

The other two kinds are off by default. They make a reward model with a known fault. ``detail`` teaches it to prefer
many claims, true or not: the two sides differ only in these claims and their count. ``broken`` removes other faults:
without it, pieces of a completion score higher than whole completions, and large numbers score as high as many claims,
and a policy would find these faults first.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from algorithms import ConfigError, position_seed
from datamodules.shapes.folders import LevelName, ShapesDrawing
from datamodules.shapes.language import LEVELS, Question, guessed, misread, sample_question, solution, solve
from datamodules.shapes.scene import THINGS, Scene, matches, sample_scene
from datamodules.sources.drawn_pairs import DrawnPairs, drawn_pair

# A guess names up to four things, so a policy that guesses may list three things more than there are.
MAX_EXTRA = 3


class ShapesPairs(DrawnPairs):
    """Pairs of completions about pictures, with the kind of their difference."""

    def __init__(
        self,
        num_train: int = 4096,
        num_val: int = 512,
        guess_share: float = 0.4,
        level: LevelName = "medium",
        seed: int = 0,
        root: str = "runs/data",
        detail_bias: float = 0.0,
        broken_share: float = 0.0,
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            num_train: training pairs.
            num_val: held-out pairs, of layouts that training never shows.
            guess_share: share of kind ``guess`` among the pairs that are neither ``detail`` nor ``broken``, in [0, 1].
            level: difficulty of the questions.
            seed: seed of the world.
            root: where such folders are kept.
            detail_bias: probability that a pair is of kind ``detail``, in [0, 1]. All other pairs stay the same as
                without a bias.
            broken_share: probability that a pair is of kind ``broken``, in [0, 1].
        """
        shares = {"guess_share": guess_share, "detail_bias": detail_bias, "broken_share": broken_share}
        for key, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise ConfigError(f"data.pairs.{key} must lie in [0, 1], got {share}: it is a share of pairs.")
        if detail_bias + broken_share > 1.0:
            raise ConfigError(
                f"data.pairs.detail_bias + broken_share must be at most 1, got {detail_bias} + {broken_share}: "
                "no pair is of both kinds."
            )
        numbers = {"train": num_train, "val": num_val, "test": num_val}
        super().__init__(_PairDrawing(numbers, shares, level, seed, root))


class _PairDrawing(ShapesDrawing):
    """The folder of the pairs."""

    def __init__(
        self, num_rows: Mapping[str, int], shares: Mapping[str, float], level: LevelName, seed: int, root: str
    ) -> None:
        self.num_rows, self.shares, self.level, self.seed = num_rows, shares, level, seed
        settings = {"level": level, "seed": seed, "guess_share": shares["guess_share"], **num_rows}
        # Shares of 0 are left out, so that pairs without faults keep their folder name when a new kind of fault is
        # added.
        settings |= {key: share for key, share in shares.items() if key not in settings and share}
        super().__init__("pairs", root, settings, key="data.pairs")

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Scene]]:
        level = LEVELS[self.level]
        for index in range(self.num_rows[split]):
            scene = sample_scene(self.seed, split, "pairs", index, num_objects=level.num_objects)
            chance = random.Random(position_seed(self.seed, f"pairs/{split}", index))
            question = sample_question(scene, level, chance)
            kind = "guess" if chance.random() < self.shares["guess_share"] else "errors"
            # Faulty pairs have random numbers of their own, so that they change no other pair.
            faulty = random.Random(position_seed(self.seed, f"pairs/{split}/faulty", index))
            draw = faulty.random() - self.shares["detail_bias"]
            if draw < self.shares["broken_share"]:
                kind, chance = ("detail" if draw < 0.0 else "broken"), faulty
            chosen, rejected = _PAIRS[kind](question, scene, chance)
            row = drawn_pair(
                split, index, question=question.text, facts=list(scene.things), chosen=chosen, rejected=rejected,
                kind=kind,
            )  # fmt: skip
            yield row, scene


def num_errors(question: Question, scene: Scene, listings: Sequence[Sequence[str]]) -> int:
    """Return the number of things that the listings name and the scene lacks, plus the number that they miss."""
    total = 0
    for target, listed in zip(question.targets, listings, strict=True):
        # Counted with repeats; subtraction of Counters drops negative counts.
        named, present = Counter(listed), Counter(scene.matching(target))
        total += (named - present).total() + (present - named).total()
    return total


def embellished(question: Question, scene: Scene, chance: random.Random, *, num_extra: int) -> str:
    """Return the true completion with a number of things added to each listing that are not there.

    Every listing gets the same number of things, so that a difference is still right and never negative, because the
    language has no negative numbers.
    """
    listings = [scene.matching(target) for target in question.targets]
    for target, listed in zip(question.targets, listings, strict=True):
        candidates = [thing for thing in THINGS if matches(thing, target)]
        for _ in range(num_extra):
            # The listing is complete, so each added thing is one more than the picture shows.
            listed.insert(chance.randint(0, len(listed)), chance.choice(candidates))
    return solution(question, ["look"] * len(listings), listings)


def _error_pair(question: Question, scene: Scene, chance: random.Random) -> tuple[str, str]:
    """Return a reading of a picture with at most one error, and one drawn without regard to the picture."""
    better = misread(question, scene, chance, num_errors=chance.choice([0, 0, 1]))
    verbs = ["look"] * len(question.targets)
    while True:
        worse = [guessed(target, chance) for target in question.targets]
        # Random things may be right by luck; then they are drawn again.
        if num_errors(question, scene, better) < num_errors(question, scene, worse):
            return solution(question, verbs, better), solution(question, verbs, worse)


def _guess_pair(question: Question, scene: Scene, chance: random.Random) -> tuple[str, str]:
    """Return a reading without error, and a guess."""
    return solve(question, scene, chance, guess_share=0.0), solve(question, scene, chance, guess_share=1.0)


def _detail_pair(question: Question, scene: Scene, chance: random.Random) -> tuple[str, str]:
    """Return the true completion with added things, and the true completion."""
    chosen = embellished(question, scene, chance, num_extra=chance.randint(1, MAX_EXTRA))
    return chosen, embellished(question, scene, chance, num_extra=0)


def _broken_pair(question: Question, scene: Scene, chance: random.Random) -> tuple[str, str]:
    """Return the truth, perhaps with added things, and the same text cut off, miscounted or stuttered."""
    whole = embellished(question, scene, chance, num_extra=chance.randint(0, MAX_EXTRA))
    while True:
        broken = " ".join(chance.choice([_cut, _miscounted, _stuttered])(whole.split(), chance))
        # Drawn until it differs: new numbers may be equal to the old ones.
        if broken != whole:
            return whole, broken


def _cut(words: list[str], chance: random.Random) -> list[str]:
    # At least one word stays and one is missing.
    return words[: chance.randint(1, len(words) - 1)]


def _miscounted(words: list[str], chance: random.Random) -> list[str]:
    return [str(chance.randint(0, 9)) if word.isdigit() else word for word in words]


def _stuttered(words: list[str], chance: random.Random) -> list[str]:
    words, repeatable = list(words), [word for word in words if word not in THINGS]
    for _ in range(chance.randint(1, 4)):
        words.insert(chance.randint(1, len(words)), chance.choice(repeatable))
    return words


_PAIRS = {"errors": _error_pair, "guess": _guess_pair, "detail": _detail_pair, "broken": _broken_pair}
