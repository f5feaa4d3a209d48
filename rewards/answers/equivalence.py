r"""Whether an answer equals the gold answer: the part that needs no computer algebra and decides most pairs.

In order: equal text, multiple-choice letters, units, exact numbers. What is left is either text, which is
then different, or mathematics that only symbolic comparison can decide.

Text never reaches the symbolic comparison, which reads a word as a product of letters and so finds "no" and
"on" equal. For the same reason a pair such as 2ab and 2ba counts as different: a wrong answer must never count as
right, even where that costs a right one.
"""

import re
from typing import NamedTuple

from rewards.answers.choices import split_choice
from rewards.answers.exact_numbers import exact_number
from rewards.answers.mathematics import has_anagrams, is_mathematics
from rewards.answers.spelling import clean, comparison_key
from rewards.answers.units import split_unit

# No gold answer is longer, and Python refuses to convert a number of more than 4300 digits.
_MAX_CHARACTERS = 1000

# 3e8, which math_verify reads as 3.
_E_NOTATION = re.compile(r"[0-9][eE][+-]?[0-9]")


class Undecided(NamedTuple):
    """Two pieces of mathematics that only symbolic comparison can tell apart, cleaned for it."""

    gold: str
    answer: str


def same_answer(gold: str, answer: str) -> bool | None:
    """Return whether the answer equals the gold answer; None when that needs symbolic comparison.

    Numbers are compared exactly, so 0.33 is not 1/3. A percent sign means hundredths: 50% equals 0.5 and 1/2,
    not 50. A unit may be missing on one side, but two different units make different answers.
    """
    decision = decide(gold, answer)
    return None if isinstance(decision, Undecided) else decision


def decide(gold: str, answer: str) -> bool | Undecided:
    """Return what ``same_answer`` returns, but instead of None the two answers that are left to compare."""
    if max(len(gold), len(answer)) > _MAX_CHARACTERS:
        return gold == answer
    gold, answer = clean(gold), clean(answer)
    if not gold or not answer:
        return False
    if comparison_key(gold) == comparison_key(answer):
        return True
    gold_choice, answer_choice = split_choice(gold), split_choice(answer)
    # The letters decide, even where one of the two repeats the text of its option and the other does not.
    if gold_choice and answer_choice:
        return gold_choice[0] == answer_choice[0]
    # A choice is right by its letter or by the text of its option.
    gold, answer = (gold_choice or ("", gold))[1], (answer_choice or ("", answer))[1]
    return _decide_values(gold, answer) if gold and answer else False


def _decide_values(gold: str, answer: str) -> bool | Undecided:
    # A unit on one side only is no difference: the question often names it.
    (gold, gold_unit), (answer, answer_unit) = split_unit(gold), split_unit(answer)
    if gold_unit and answer_unit and gold_unit != answer_unit:
        return False
    if comparison_key(gold) == comparison_key(answer):
        return True
    gold_number, answer_number = exact_number(gold), exact_number(answer)
    if gold_number is not None and answer_number is not None:
        return gold_number == answer_number
    # A percent sign on one side only: math_verify finds 50% equal to 50 as well as to 0.5.
    if ("%" in gold) != ("%" in answer) or _E_NOTATION.search(gold) or _E_NOTATION.search(answer):
        return False
    if is_mathematics(gold) and is_mathematics(answer) and not has_anagrams(gold, answer):
        # Both or none have a percent sign here.
        return Undecided(gold.rstrip("%"), answer.rstrip("%"))
    return False
