r"""Is this answer the gold answer: the part that needs no computer algebra and decides most pairs.

In order: equal text, multiple-choice letters, units, exact numbers. What is left is either text, which is
then different, or mathematics that only symbolic comparison can decide.

Text never reaches the symbolic comparison, which reads a word as a product of letters and so finds "no" and
"on" equal. For the same reason a pair such as 2ab and 2ba counts as different: safe rather than complete.
"""

import re
from typing import NamedTuple

from rewards.answers.boxes import find_boxes
from rewards.answers.exact_numbers import exact_number
from rewards.answers.units import split_unit

# No gold answer is longer; and digits beyond 4300 are more than Python converts.
_MAX_CHARACTERS = 1000

_SYMBOLS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{FULLWIDTH PERCENT SIGN}": "%",
        "\N{FULLWIDTH LEFT PARENTHESIS}": "(",
        "\N{FULLWIDTH RIGHT PARENTHESIS}": ")",
        "\N{FULLWIDTH COMMA}": ",",
        "\N{MULTIPLICATION SIGN}": r"\times ",
        "\N{MIDDLE DOT}": r"\cdot ",
        "\N{GREEK SMALL LETTER PI}": r"\pi ",
        "\N{LESS-THAN OR EQUAL TO}": r"\le ",
        "\N{GREATER-THAN OR EQUAL TO}": r"\ge ",
        "\N{INFINITY}": r"\infty ",
        "\N{SQUARE ROOT}": r"\sqrt ",
        "\N{SUPERSCRIPT TWO}": "^2",
        "\N{SUPERSCRIPT THREE}": "^3",
        "~": " ",
    }
)
_STYLED = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}"
)
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[()\[\]]|\\?\$|\\displaystyle(?![A-Za-z])|\\!", ""),  # math mode and its fine print
        (r"\\(?:[,;: ]|qquad(?![A-Za-z])|quad(?![A-Za-z]))", " "),
        (r"\\(?:left|right)(?![A-Za-z])", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\{,\}", ","),
        (r"\\%| percent\b", "%"),
        (r" ?\^ ?(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z]))", "°"),
        (r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi "),
    )
]

_CHOICE = re.compile(
    r"(?:(?i:option|choice|answer) ?:? ?)?"
    r"(?:\((?P<inside>[A-Ja-j])\)|(?P<bare>[A-Ja-j])(?:\)|[.:](?=[ 0-9\\-]|$)|$)) ?(?P<option>.*)"
)
_SECOND_CHOICE = re.compile(r"(?:or|and)\b|[,/&]|.*(?<![^ ,/])\(?[A-J](?:\)|[.:](?: |$))")

_COMMAND = re.compile(r"\\[A-Za-z]+")
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_LONE_WORD = re.compile(r"(?<![^ ,;])[A-Za-z]{2,}(?![^ ,;])")
_FOREIGN = re.compile(r"[^\W\d_A-Za-z\u0370-\u03ff]")  # letters neither Latin nor Greek
_JUXTAPOSED = re.compile(r"[0-9] [0-9]")  # math_verify would multiply
_MATH_SIGN = re.compile(r"[0-9+*/^_=<>|!\\-]")
_E_NOTATION = re.compile(r"[0-9][eE][+-]?[0-9]")
_MATH_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp sqrt max min gcd lcm mod det "
        "inf infty infinity and or",
    )
)
_LONGEST_PRODUCT = 3


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
    """Do what ``same_answer`` does, and return what is left to compare when it cannot decide."""
    if max(len(gold), len(answer)) > _MAX_CHARACTERS:
        return gold == answer
    gold, answer = _clean(gold), _clean(answer)
    if not gold or not answer:
        return False
    if _key(gold) == _key(answer):
        return True
    gold_choice, answer_choice = _split_choice(gold), _split_choice(answer)
    if gold_choice and answer_choice:
        return gold_choice[0] == answer_choice[0]
    # A choice is right by its letter or by the text of its option.
    gold, answer = (gold_choice or ("", gold))[1], (answer_choice or ("", answer))[1]
    return _decide_values(gold, answer) if gold and answer else False


def _decide_values(gold: str, answer: str) -> bool | Undecided:
    (gold, gold_unit), (answer, answer_unit) = split_unit(gold), split_unit(answer)
    if gold_unit and answer_unit and gold_unit != answer_unit:
        return False
    if _key(gold) == _key(answer):
        return True
    gold_number, answer_number = exact_number(gold), exact_number(answer)
    if gold_number is not None and answer_number is not None:
        return gold_number == answer_number
    if ("%" in gold) != ("%" in answer) or _E_NOTATION.search(gold) or _E_NOTATION.search(answer):
        return False  # math_verify takes 50% for 50 as well as for 0.5, and 3e8 for 3
    if _is_mathematics(gold) and _is_mathematics(answer) and not _has_anagrams(gold, answer):
        return Undecided(gold.rstrip("%"), answer.rstrip("%"))
    return False


def _clean(text: str) -> str:
    """Write the same answer in fewer ways: no styles, math delimiters or doubled spaces."""
    boxes = find_boxes(text)
    if len(boxes) == 1 and boxes[0] is not None:
        text = boxes[0]
    text = text.translate(_SYMBOLS)
    while (plain := _STYLED.sub(r" \1 ", text)) != text:
        text = plain
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return " ".join(text.split()).rstrip(".").strip()


def _key(text: str) -> str:
    """Fold case and drop every space that does not part two words or two numbers."""
    return re.sub(r"(?<![A-Za-z]) (?![0-9])|(?<![0-9]) (?![A-Za-z])|(?<=[^\w]) | (?=[^\w])", "", text).casefold()


def _split_choice(text: str) -> tuple[str, str] | None:
    """Return the letter and the option text of "B", "(B)", "B." or "B. 12 cm"; None for anything else."""
    found = _CHOICE.fullmatch(text)
    if not found or _SECOND_CHOICE.match(found["option"]):
        return None
    return (found["inside"] or found["bare"]).upper(), found["option"]


def _is_mathematics(text: str) -> bool:
    if _FOREIGN.search(text) or _JUXTAPOSED.search(text):
        return False
    bare = _COMMAND.sub("\\\\", text)
    if any(len(run) > _LONGEST_PRODUCT and run.lower() not in _MATH_WORDS for run in _LETTERS.findall(bare)):
        return False
    if any(word.lower() not in _MATH_WORDS for word in _LONE_WORD.findall(bare.strip("()[]{} "))):
        return False
    return len(bare) == 1 or _MATH_SIGN.search(bare) is not None


def _has_anagrams(gold: str, answer: str) -> bool:
    """Whether two different runs of letters, such as "no" and "on", would become the same product."""
    runs = {run.casefold() for run in _LETTERS.findall(_COMMAND.sub(" ", f"{gold} {answer}"))}
    return len({"".join(sorted(run)) for run in runs}) < len(runs)
