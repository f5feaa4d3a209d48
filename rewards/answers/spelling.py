"""One spelling for an answer that can be written in many ways: LaTeX styles, symbols, spaces and case."""

import re

from rewards.answers.boxes import find_boxes

LATEX_COMMAND = re.compile(r"\\[A-Za-z]+")

# Each sign of Unicode has a LaTeX or ASCII spelling, which is what models mostly write.
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
# The innermost style first: the pattern allows no braces in its argument.
_STYLED = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}"
)
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[()\[\]]|\\?\$|\\displaystyle(?![A-Za-z])|\\!", ""),  # math mode, its style and its negative space
        (r"\\(?:[,;: ]|qquad(?![A-Za-z])|quad(?![A-Za-z]))", " "),
        (r"\\(?:left|right)(?![A-Za-z])", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\{,\}", ","),
        (r"\\%| percent\b", "%"),
        (r" ?\^ ?(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z]))", "°"),
        (r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi "),
    )
]


def clean(text: str) -> str:
    """Return the answer without its box, styles, math delimiters and doubled spaces, with one sign for each symbol."""
    boxes = find_boxes(text)
    if len(boxes) == 1 and boxes[0] is not None:
        text = boxes[0]
    text = text.translate(_SYMBOLS)
    # Until nothing changes: styles can be nested.
    while (plain := _STYLED.sub(r" \1 ", text)) != text:
        text = plain
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return " ".join(text.split()).rstrip(".").strip()


def comparison_key(text: str) -> str:
    """Return the answer in one case, without the spaces that do not separate two words or two numbers."""
    # A space between "1" and "200" stays: it may separate two numbers as well as digits of one.
    return re.sub(r"(?<![A-Za-z]) (?![0-9])|(?<![0-9]) (?![A-Za-z])|(?<=[^\w]) | (?=[^\w])", "", text).casefold()
