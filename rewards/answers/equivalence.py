r"""Whether an answer equals the gold answer, and why.

    text  ->  choice  ->  yes or no  ->  ratio  ->  equation  ->  range  ->  list, matrix  ->  quantity  ->  expression

Each step takes the answer apart and passes the parts on. Only expressions without further structure reach symbolic
comparison, which is a function that the caller passes. Words never reach it, because it would read a word as a product
of letters and find "no" and "on" equal. For the same reason 2ab and 2ba count as different: a wrong answer must never
count as right, even if a right answer is then refused.

docs/verifier.md explains all decisions and their reasons.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from rewards.answers.choices import circled_in, is_bet, is_run, letters_in, options_by_letter, said, split_choice
from rewards.answers.reasons import Reason, Unknown
from rewards.answers.spelling import clean, comparison_key
from rewards.answers.structure import read_sequence
from rewards.answers.values import ValueJudge

MAX_CHARACTERS = 1000
"""Longest text that is analysed; no gold answer is longer. Two longer texts count as equal only if all characters
are."""


@dataclass(frozen=True, slots=True)
class Expressions:
    """The input of symbolic comparison: two expressions, or the sides of two equations or inequalities."""

    kind: str
    """``value``, ``equation`` or ``inequality`` (left < right)."""

    gold: tuple[str, ...]
    answer: tuple[str, ...]
    tolerance: str | None = None
    """Largest difference at which two values still count as equal; a fraction in digits."""


Compare = Callable[[Expressions], bool]
"""Decides a comparison, or raises ``Unknown``."""


class NeedsSymbols(Exception):
    """The verdict needs symbolic comparison."""


def judge_quickly(
    gold: str, answer: str, *, choices: Sequence[str] | None = None, tolerance: float | None = None
) -> Reason | None:
    """Return the verdict on an answer; None when only symbolic comparison can decide."""
    try:
        return judge(gold, answer, _refuse, choices=choices, tolerance=tolerance)
    except NeedsSymbols:
        return None


def _refuse(expressions: Expressions) -> NoReturn:
    raise NeedsSymbols(expressions)


def judge(
    gold: str,
    answer: str,
    compare: Compare,
    *,
    choices: Sequence[str] | None = None,
    tolerance: float | None = None,
) -> Reason:
    """Return the verdict on an answer.

    Numbers are compared exactly, so 0.33 is not 1/3. A percent sign means hundredths: 50% equals 0.5 and 1/2, not 50.
    A unit may be missing on one side; two units are converted.

    Args:
        gold: the right answer, as the data have it.
        answer: the content of the box.
        compare: decides expressions.
        choices: texts of the options A, B, C, ...; None where there are none or they are unknown.
        tolerance: largest absolute difference from a gold number that is still right, in the unit of the gold; None:
            numbers are exact.
    """
    if len(gold) > MAX_CHARACTERS or len(answer) > MAX_CHARACTERS:
        if gold.strip() == answer.strip():
            return Reason.RIGHT_TEXT
        return Reason.UNREADABLE_GOLD if len(gold) > MAX_CHARACTERS else Reason.UNREADABLE_ANSWER
    gold, answer = clean(gold), clean(answer)
    if not gold:
        return Reason.UNREADABLE_GOLD
    if not answer:
        return Reason.NO_BOX
    try:
        return _Verdict(compare, choices or (), tolerance).on(gold, answer)
    except Unknown as unknown:
        return unknown.reason


class _Verdict:
    """Decides options, and yes or no; all other answers are passed on as values."""

    def __init__(self, compare: Compare, choices: Sequence[str], tolerance: float | None) -> None:
        # Converted from the digits, so that 0.1 is exactly a tenth.
        exact = None if tolerance is None else Fraction(str(tolerance))

        def decide(kind: str, gold: tuple[str, ...], answer: tuple[str, ...], within: Fraction | None) -> bool:
            return compare(Expressions(kind, gold, answer, None if within is None else str(within)))

        self.values = ValueJudge(decide, exact)
        self.options = {letter: clean(text) for letter, text in options_by_letter(choices).items()}

    def on(self, gold: str, answer: str) -> Reason:
        if self.options and (by_option := self._by_option(gold, answer)) is not None:
            return by_option
        if comparison_key(gold) == comparison_key(answer):
            return Reason.RIGHT_TEXT
        statements, chosen = circled_in(gold), circled_in(answer)
        if statements and chosen:
            return _compare_letters(statements, chosen)
        by_letter = self._by_letter(gold, answer)
        if by_letter is not None:
            return by_letter
        # NO may be nitrogen monoxide, and No nobelium.
        said_gold, said_answer = said(gold), None if (gold, answer) == ("NO", "No") else said(answer)
        if said_gold:
            return _same_saying(said_gold, said_answer) if said_answer else Reason.WRONG
        return self.values(_without_letter(gold), _without_letter(answer) if split_choice(gold) is None else answer)

    def _by_option(self, gold: str, answer: str) -> Reason | None:
        """Decide an answer by the texts of the options; None where the gold is no option."""
        right, chosen = self._letters(gold), self._letters(answer)
        if right is None:
            return None
        if chosen is not None:
            return _compare_letters(right, chosen)
        if len(right) > 1 or is_bet(answer):
            return Reason.SEVERAL_ANSWERS if is_bet(answer) else Reason.WRONG
        (letter,) = right
        verdict = self.values(self.options[letter], answer)
        others = [text for other, text in self.options.items() if other != letter]
        # "12" does not choose between "12 cm" and "12 m".
        if verdict.is_right and any(self._is_value_of(text, answer) for text in others):
            return Reason.SEVERAL_ANSWERS
        return Reason.RIGHT_CHOICE if verdict.is_right else verdict

    def _is_value_of(self, option: str, answer: str) -> bool:
        try:
            return self.values(option, answer).is_right
        except Unknown:
            return False

    def _letters(self, text: str) -> frozenset[str] | None:
        """Return the letters of the options that a text names by letter or by text."""
        key = comparison_key(text)
        named = [letter for letter, option in self.options.items() if comparison_key(option) == key]
        # A single letter names an option by letter, even where it is the text of another option.
        if named and not (len(text) == 1 and text.upper() in self.options):
            return frozenset(named[:1])
        if one := split_choice(text, num_options=len(self.options)):
            return self._letter_with_text(*one)
        if found := re.fullmatch(r"([A-Z]) ?\((.{2,})\)", text):
            return self._letter_with_text(*found.groups()) if found[1] in self.options else None
        letters = letters_in(text.upper() if re.fullmatch(r"[a-j](?:, ?[a-j])+", text) else text)
        if letters:
            return letters if letters <= self.options.keys() else None
        return self._several_texts(text)

    def _several_texts(self, text: str) -> frozenset[str] | None:
        """Return the letters of options whose texts stand in a list: "p, r"."""
        several = None if re.search(r"(?<![A-Za-z])or(?![A-Za-z])|或", text) else read_sequence(text)
        if several is None or several.is_ordered:
            return None
        named = [self._letters(part) for part in several.parts if part]
        letters = [next(iter(one)) for one in named if one is not None and len(one) == 1]
        return frozenset(letters) if len(letters) == len(named) == len(set(letters)) > 1 else None

    def _letter_with_text(self, letter: str, text: str) -> frozenset[str]:
        key = comparison_key(text)
        others = [other for other, option in self.options.items() if option and comparison_key(option) == key]
        # The letter B with the text of option C names two options.
        return frozenset([letter]) if not text or letter in others else frozenset([letter, *others])

    def _by_letter(self, gold: str, answer: str) -> Reason | None:
        """Decide letters of options whose texts are unknown; None where the gold is no letter."""
        right, chosen = split_choice(gold), split_choice(answer)
        if right and chosen:
            # A small letter without any mark is a variable here, and its capital is another variable.
            is_variable = len(gold) == 1 and gold.islower() and answer.isupper()
            if right[0] != chosen[0] or is_variable:
                return Reason.WRONG
            same_text = not right[1] or not chosen[1] or self.values(right[1], chosen[1]).is_right
            return Reason.RIGHT_CHOICE if same_text else Reason.WRONG
        letters, other_letters = letters_in(gold), letters_in(answer)
        if letters and other_letters and len(letters | other_letters) > 1:
            # Two runs of letters may name segments, and AC and CA then count as different.
            return _compare_letters(letters, other_letters) if not (is_run(gold) and is_run(answer)) else Reason.WRONG
        if letters and is_bet(answer):
            return Reason.SEVERAL_ANSWERS
        return Reason.WRONG if right and not right[1] and not gold.islower() else None


def _compare_letters(right: frozenset[str], chosen: frozenset[str]) -> Reason:
    if right == chosen:
        return Reason.RIGHT_CHOICE
    return Reason.SEVERAL_ANSWERS if right < chosen else Reason.WRONG


def _same_saying(gold: tuple[str, str], answer: tuple[str, str]) -> Reason:
    numbers = [re.findall(r"[0-9]+(?:\.[0-9]+)?", rest) for _, rest in (gold, answer)]
    # "No, 5 of them" is not "No, 6 of them".
    is_same = gold[0] == answer[0] and (numbers[0] == numbers[1] or not all(numbers))
    return Reason.RIGHT_CHOICE if is_same else Reason.WRONG


def _without_letter(text: str) -> str:
    """Return the text of an option without its letter: "A. 12" is 12."""
    choice = split_choice(text)
    return choice[1] if choice and choice[1] else text
