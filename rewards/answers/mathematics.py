"""Which texts are mathematics that symbolic comparison can decide, and not words.

Symbolic comparison reads a word as a product of letters, so a text that it should not read must be found before.
"""

import re

from rewards.answers.spelling import LATEX_COMMAND

_LETTERS = re.compile(r"[A-Za-z]{2,}")
_LONE_WORD = re.compile(r"(?<![^ ,;])[A-Za-z]{2,}(?![^ ,;])")
_FOREIGN = re.compile(r"[^\W\d_A-Za-z\u0370-\u03ff]")  # letters neither Latin nor Greek
_JUXTAPOSED = re.compile(r"[0-9] [0-9]")  # math_verify multiplies "2 3"
_MATH_SIGN = re.compile(r"[0-9+*/^_=<>|!\\-]")
_MATH_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp sqrt max min gcd lcm mod det "
        "inf infty infinity and or",
    )
)
# A longer run of letters is taken for a word, and not for a product of variables such as abc.
_LONGEST_PRODUCT = 3


def is_mathematics(text: str) -> bool:
    """Return whether math_verify can be trusted to read a text: mathematics, and no words."""
    if _FOREIGN.search(text) or _JUXTAPOSED.search(text):
        return False
    # Commands become a single backslash, which still is a sign of mathematics, so that their letters are no words.
    bare = LATEX_COMMAND.sub("\\\\", text)
    if any(len(run) > _LONGEST_PRODUCT and run.lower() not in _MATH_WORDS for run in _LETTERS.findall(bare)):
        return False
    # A word that stands alone is a word at any length: "no", "cm".
    if any(word.lower() not in _MATH_WORDS for word in _LONE_WORD.findall(bare.strip("()[]{} "))):
        return False
    return len(bare) == 1 or _MATH_SIGN.search(bare) is not None


def has_anagrams(gold: str, answer: str) -> bool:
    """Return whether two different runs of letters, such as "no" and "on", would become the same product."""
    # Products commute, so the order of the letters is lost.
    runs = {run.casefold() for run in _LETTERS.findall(LATEX_COMMAND.sub(" ", f"{gold} {answer}"))}
    return len({"".join(sorted(run)) for run in runs}) < len(runs)
