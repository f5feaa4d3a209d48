"""Questions of the shapes world in the words of three benchmarks, with the completions that answer them.

    choices      how many red ?  A) 0 B) 1 C) 2 D) 3     ...  Answer: \\boxed{ C }
    math_vista   how many red plus blue ?                ...  Answer: \\boxed{ 3 }
    pope         is there a red-circle ?                 ...  Answer: \\boxed{ YES }

``asked`` is the user turn exactly as evalscope sends it, with ``<image>`` where the picture stands, so that the same
question can be put to the policy by this project.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from algorithms import position_seed
from datamodules.shapes.language import LEVELS, sample_question, solve
from datamodules.shapes.scene import THINGS, Scene, sample_scene

SETS = ("choices", "math_vista", "pope")
LETTERS = "ABCD"
POPE_SPLITS = ("random", "popular", "adversarial")

# evalscope 1.14.1's own prompts, word for word.
_CHOICES = (
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'ANSWER: [LETTER]' (without quotes) where [LETTER] is one of A,B,C,D. Think step by step before answering.\n\n"
)
_OPEN = "\nPlease reason step by step, and put your final answer within \\boxed{} without units."
_POPE = "\nPlease answer YES or NO without an explanation."

_SHOWN = (*LETTERS, *(f"{letter})" for letter in LETTERS), "YES", "NO", "is", "there", "a")
NEW_WORDS = tuple(dict.fromkeys([*_SHOWN, *f"{_CHOICES} {_OPEN} {_POPE}".split()]))
"""All words of these questions and completions, known to the tiny policy or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyQuestion:
    """One question with everything that its files contain."""

    benchmark: str
    number: int
    scene: Scene
    text: str
    """The question alone."""

    asked: str
    """The user turn."""

    answer: str
    completion: str
    """Reasoning that lists what is seen, and the answer."""

    choices: tuple[str, ...] = ()
    category: str = ""


def questions(benchmark: str, split: str, number: int, seed: int) -> Iterator[TinyQuestion]:
    """Yield questions about scenes of a split.

    Args:
        benchmark: one of ``SETS``.
        split: "train", "val", or "test", whose layouts occur nowhere else.
        number: number of questions.
        seed: seed of the world.
    """
    for index in range(number):
        level = LEVELS["easy" if benchmark == "choices" else "medium"]
        purpose = f"evaluation/{benchmark}"
        scene = sample_scene(seed, split, purpose, index, num_objects=level.num_objects)
        chance = random.Random(position_seed(seed, f"{purpose}/{split}", index))
        make = _probe if benchmark == "pope" else _counted
        yield make(benchmark, index, scene, chance)


def _counted(benchmark: str, index: int, scene: Scene, chance: random.Random) -> TinyQuestion:
    question = sample_question(scene, LEVELS["easy" if benchmark == "choices" else "medium"], chance)
    answer = str(question.answer([scene.count(target) for target in question.targets]))
    solved = solve(question, scene, chance, guess_share=0.0)
    if benchmark == "math_vista":
        asked = f"{question.text}{_OPEN}<image>"
        return TinyQuestion(benchmark=benchmark, number=index, scene=scene, text=question.text, asked=asked,
                            answer=answer, completion=solved)  # fmt: skip
    # The numbers are in order, because a model of this size does not learn in minutes to find a number in a shuffled
    # list.
    first = max(0, int(answer) - len(LETTERS) + 1)
    choices = [str(count) for count in range(first, first + len(LETTERS))]
    letter = LETTERS[choices.index(answer)]
    shown = "\n".join(f"{name}) {text}" for name, text in zip(LETTERS, choices, strict=True))
    return TinyQuestion(
        benchmark=benchmark, number=index, scene=scene, text=question.text, choices=tuple(choices), answer=letter,
        asked=f"{_CHOICES}<image> {question.text}\n\n{shown}", completion=_with_answer(solved, letter),
    )  # fmt: skip


def _probe(benchmark: str, index: int, scene: Scene, chance: random.Random) -> TinyQuestion:
    is_there = index % 2 == 0
    target = chance.choice([thing for thing in THINGS if (scene.count(thing) > 0) == is_there])
    listed = scene.matching(target)
    answer = "YES" if listed else "NO"
    completion = f"look {target} : {' '.join(listed) or 'none'} = {len(listed)} </think> Answer: \\boxed{{ {answer} }}"
    text = f"is there a {target} ?"
    return TinyQuestion(
        benchmark=benchmark, number=index, scene=scene, text=text, asked=f"{text}{_POPE}<image>", answer=answer,
        completion=completion, category=POPE_SPLITS[index // 2 % len(POPE_SPLITS)],
    )  # fmt: skip


def _with_answer(solved: str, answer: str) -> str:
    return f"{solved.partition('</think>')[0]}</think> Answer: \\boxed{{ {answer} }}"
