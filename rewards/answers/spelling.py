"""Gives an answer one spelling where there are many: LaTeX styles, Unicode signs, full-width signs, spaces.

As little as possible is rewritten, because every rewriting can make two different answers equal. The case of letters
stays: MW is not mW, and Co is not CO.
"""

import re

from rewards.answers.boxes import find_boxes

LATEX_COMMAND = re.compile(r"\\[A-Za-z]+")
DOLLAR = "\N{HEAVY DOLLAR SIGN}"
"""Stands for a sign of currency once the signs of math mode are gone."""

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho . sigma tau upsilon"
# Each sign of Unicode has a LaTeX or ASCII spelling, which is what models mostly write.
_SYMBOLS: dict[int, str] = str.maketrans(
    {
        **{chr(0x3B1 + i): rf"\{name} " for i, name in enumerate(_GREEK.split()) if name != "."},
        **{chr(0x2080 + digit): f"_{digit}" for digit in range(10)},
        **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", [f"^{d}" for d in "0123456789-"], strict=True)),
        **dict(zip("½⅓⅔¼¾⅛", [rf"\frac{{{a}}}{{{b}}}" for a, b in ("12", "13", "23", "14", "34", "18")], strict=True)),
        **dict.fromkeys("−–—﹣", "-"),
        **dict.fromkeys("、﹐", ","),
        **dict.fromkeys("。．", "."),
        **dict.fromkeys("\u3000\u00a0\u2009\u202f~", " "),
        **dict.fromkeys("\u200b\ufeff\u200e“”„`", ""),
        **dict.fromkeys("·⋅•", r"\cdot "),
        "φ": r"\phi ", "χ": r"\chi ", "ψ": r"\psi ", "ω": r"\omega ", "µ": r"\mu ", "Δ": r"\Delta ", "θ": r"\theta ",
        "Ω": r"\Omega ", "\N{OHM SIGN}": r"\Omega ", "×": r"\times ", "÷": "/", "∶": ":", "≤": r"\le ", "≥": r"\ge ",
        "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ", "√": r"\sqrt ", "∪": r"\cup ",
        "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ", "→": r"\to ", "′": "'", "’": "'", "″": "''",
        "∥": r"\parallel ", "⊥": r"\perp ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "∠": r"\angle ", "△": r"\triangle ",
        "℃": "°C", "℉": "°F", "º": "°",
        "￥": "¥",
    }
)  # fmt: skip
# The innermost style first: the pattern allows one pair of braces in its argument, as in \mathrm{m/s^{2}}.
_STYLED = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|textnormal|emph|mathrm|mathbf|mathit|mathsf|boldsymbol|bm|mbox|hbox"
    r"|operatorname|ce|underline)\s*\{((?:[^{}]++|\{[^{}]*\})*+)\}"
)
_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<!\\)\\[()]|(?<!\\)\\\[|(?<!\\)\\\]|\\displaystyle(?![A-Za-z])|\\(?:rm|bf)(?![A-Za-z])|(?<!\\)\\!", ""),
        # A backslash that is the second one of "\\", a new line in a matrix, does not count.
        (r"(?<!\\)\\(?:[,;: ]|qquad(?![A-Za-z])|quad(?![A-Za-z])|thinspace(?![A-Za-z]))", " "),
        (r"\\(?:left|right|[bB]igg?[lr]?)\.", ""),
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\l[gn]?brace(?![A-Za-z])", r"\\{"),
        (r"\\rbrace(?![A-Za-z])", r"\\}"),
        (r"\\leqslant|\\leq(?![A-Za-z])|<=", r"\\le "),
        (r"\\geqslant|\\geq(?![A-Za-z])|>=", r"\\ge "),
        (r"\\neq(?![A-Za-z])|!=", r"\\ne "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\(?:rightarrow|longrightarrow)(?![A-Za-z])|->", r"\\to "),
        (r"\\(?:varnothing)(?![A-Za-z])|\\\{ *\\\}", r"\\emptyset "),
        (r"(?<=[0-9A-Za-z)\]}]) ?\*\* ?(?=[0-9A-Za-z(\\-])", "^"),
        (r"\\bar(?![A-Za-z])", r"\\overline"),
        # Unit vectors are written with and without an arrow.
        (r"\\(?:vec|hat|overrightarrow) ?(?:\{ ?(?:\\(?=[ij]math))?([ijk])(?:math)? ?\}|([ijk])(?![A-Za-z]))", r"\1\2"),
        (r"\{,\}", ","),
        (r"\\%| ?percent\b| ?per cent\b", "%"),
        (r" ?\^ ?(?:\{ ?\\circ ?\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])", "°"),
        (r"° (?=[CF]\b)", "°"),
        (r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi "),
        (r"(?<![A-Za-z\\])sqrt(?![A-Za-z])", r"\\sqrt"),
        # The parts of an exponent or an index that was written with Unicode signs.
        (r"\^-\^", "^-"),
    )
]
# Bold in markdown; between two values it is a power.
_BOLD = re.compile(r"(?<![0-9A-Za-z)\]}*])\*\*(?! )([^*]+)(?<! )\*\*(?![0-9A-Za-z(*])")
# LaTeX does not show these braces, but around a list they mean a set.
_PLAIN_SET = re.compile(r"\{([^{}\\]*,[^{}\\]*)\}$", re.DOTALL)
_DIGITS_OF_SIGNS = re.compile(r"(?:[\^_]-?[0-9]){2,9}")
_PREFIX = re.compile(
    r"(?i:(?:so,? |thus,? |therefore,? )?(?:the )?(?:final |correct |right )?"
    r"(?:answer|option|choice)(?: is| ?:| ?=) ?:?)"
    r"|答案(?:是|为)? ?:? ?|故?选(?=[A-Z(])"
)


def clean(text: str) -> str:
    """Return the answer without its box, styles, math delimiters and doubled spaces, with one sign for each symbol."""
    boxes = find_boxes(text)
    if len(boxes) == 1 and boxes[0] is not None:
        text = boxes[0]
    text = text.translate(_FULL_WIDTH).translate(_SYMBOLS)
    text = _without_math_mode(_BOLD.sub(r"\1", text).replace("\\$", DOLLAR))
    # Repeated until the text stays the same, because styles can be nested; each round removes one level.
    for _ in range(20):
        plain = _STYLED.sub(r" \1 ", text)
        if plain == text:
            break
        text = plain
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    if found := _PLAIN_SET.match(text.strip()):
        text = rf"\{{{found[1]}\}}"
    text = _DIGITS_OF_SIGNS.sub(_one_script, text)
    text = " ".join(text.split()).rstrip(".!,;" if text.endswith(".") else ".,;").strip()
    shorter = _PREFIX.sub("", text, count=1).strip() if _PREFIX.match(text) else text
    return shorter or text


def _without_math_mode(text: str) -> str:
    # A single dollar sign before a number marks a price: "$5".
    if text.count("$") == 1:
        return text.replace("$", DOLLAR)
    return text.replace("$", " ")


def _one_script(found: re.Match[str]) -> str:
    # x^1^0 was written with two raised digits and means x^{10}.
    signs = set(found[0]) & {"^", "_"}
    return found[0] if len(signs) > 1 else f"{found[0][0]}{{{found[0].replace('^', '').replace('_', '')}}}"


def comparison_key(text: str) -> str:
    """Return the answer without needless spaces, and prose in lower case.

    The case of single letters, symbols and formulas stays.
    """
    # A space between "1" and "200" stays: it may separate two numbers as well as digits of one.
    text = re.sub(r"(?<![A-Za-z]) (?![0-9])|(?<![0-9]) (?![A-Za-z])|(?<=[^\w]) | (?=[^\w])", "", text)
    return _in_one_case(_ION.sub(r"\1^{\2\3}", text))


# Fe3+ and Na+ are ions; Fe_3^+ is another one, and keeps its form.
_ION = re.compile(r"^([A-Z][a-z]?)\^?\{?([1-9]?)([+-])\}?$")
# Words such as "Circle" and "circle", and words in capitals that are too long for a symbol.
_WORD = re.compile(r"(?<![A-Za-z\\])(?:[A-Z]?[a-z]{2,}|[A-Z]{5,})(?![A-Za-z])")
_PROSE = re.compile(r"[A-Za-z]?[a-z]{3,}")
_FORMULA = re.compile(r"[0-9^_={}\\+*/<>]")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def _in_one_case(text: str) -> str:
    # Short words keep their case: "Abc" may be a triangle or a product, and Co is not CO.
    if _FORMULA.search(text) and not _PROSE.search(LATEX_COMMAND.sub("", text)):
        return text
    folded = _WORD.sub(lambda word: word[0] if word[0].lower() in _ALPHABET else word[0].lower(), text)
    first = re.match(r"(?:An?|The) (?=[a-z]{3})", folded)
    return folded[first.end() :] if first else re.sub(r"^(?:an?|the) (?=[a-z]{3})", "", folded)
