"""Decides which texts are mathematics for symbolic comparison, and which texts are words.

Symbolic comparison reads a word as a product of letters, so words must be found before.
"""

import re

from rewards.answers.spelling import LATEX_COMMAND

_LETTERS = re.compile(r"[A-Za-z]{2,}")
_FOREIGN = re.compile(r"[^\W\d_A-Za-z\u0370-\u03ff]")  # letters neither Latin nor Greek
# math_verify adds "2 3/4" and multiplies or adds "2 3"; a number with a base would be a product.
_AMBIGUOUS = re.compile(
    r"[0-9] +[0-9]|[0-9]_|[?$#@&\"]|\.\.\.|\\[lc]?dots|\\(?:emptyset|mathbb|parallel|perp|sim|cong)"
)
_LOG_BASE = re.compile(r"(\\log ?_ ?[0-9]) ")
_MATH_SIGN = re.compile(r"[0-9+*/^_=<>|!\\-]")
_MATH_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp sqrt max min gcd lcm mod det "
        "inf infty infinity",
    )
)
_ENGLISH = frozenset(
    [
        "and",
        "or",
        "not",
        "no",
        "the",
        "is",
        "are",
        "if",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "all",
        "any",
        "but",
        "yes",
    ]
)
# A longer run of letters counts as a word, a shorter one as a product of variables such as abc.
_LONGEST_PRODUCT = 3


def is_mathematics(text: str) -> bool:
    """Return whether a text can be read as mathematics: signs or a single letter, and no words."""
    # The 2 of "\log_2 8" is no number beside the 8.
    if _FOREIGN.search(text) or _AMBIGUOUS.search(_LOG_BASE.sub(r"\1\\", text)):
        return False
    # A command becomes a single backslash: it is still a sign of mathematics, but its letters are no word.
    bare = LATEX_COMMAND.sub("\\\\", text)
    for run in _LETTERS.findall(bare):
        if run in _ENGLISH or (len(run) > _LONGEST_PRODUCT and run.lower() not in _MATH_WORDS):
            return False
    return len(bare) == 1 or _MATH_SIGN.search(bare) is not None


def has_anagrams(gold: str, answer: str) -> bool:
    """Return whether two texts have different runs of letters that become the same product, such as "no" and "on"."""
    # Products commute, so the order of the letters is lost.
    runs = set(_LETTERS.findall(LATEX_COMMAND.sub(" ", f"{gold} {answer}")))
    return len({"".join(sorted(run.lower())) for run in runs}) < len(runs)


def is_balanced(text: str) -> bool:
    """Return whether every brace is closed; an escaped one does not count."""
    depth = 0
    for sign in re.findall(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth < 0:
            return False
    return depth == 0
