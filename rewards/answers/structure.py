r"""The outer form of an answer (list, tuple, set, interval, matrix, equation) and its parts.

"(1, 2]"  ->  Sequence("(]", ["1", "2"])        "x = 1, x = 2"  ->  Sequence("", ["x = 1", "x = 2"])
"""

import re
from dataclasses import dataclass

from rewards.answers.quantities.exact_numbers import exact_number

_TOKEN = re.compile(r"\\begin\{[a-z]+\*?\}|\\end\{[a-z]+\*?\}|\\[{}|]|\\[A-Za-z]+|\\\\|\\.|.", re.DOTALL)
_OPEN = {"(": "(", "[": "[", "{": "{", "\\{": "{", "\\langle": "<"}
_CLOSE = {")": ")", "]": "]", "}": "}", "\\}": "}", "\\rangle": ">"}
_MATRIX = re.compile(
    r"[(\[]? ?\\begin\{(?P<name>[pbB]?(?:small)?matrix|array)\} ?(?P<columns>\{[lcr| ]*\})?"
    r"(?P<body>.*)\\end\{(?P=name)\} ?[)\]]?",
    re.DOTALL,
)
_LIST_WORDS = re.compile(r"(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|[或和且]")
# All commas belong to one long number, such as "3,500 m".
_LONG_NUMBER = re.compile(r"[^,;(\[{]*(?<![0-9])[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])[^,;]*")
MAX_PARTS = 24
"""Most parts of a list; the time for comparing two lists grows with the square of this number."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Several values side by side."""

    brackets: str
    """Such as "()", "[)", "{}"; empty where there are none."""

    parts: list[str]

    @property
    def is_ordered(self) -> bool:
        """Whether the order of the parts matters."""
        return self.brackets not in ("", "{}")

    @property
    def kind(self) -> str:
        """Only sequences of the same kind are compared: two parts in brackets may be an interval, more parts cannot."""
        if not self.is_ordered:
            return "set"
        if len(self.parts) == 2 and self.brackets != "<>":
            return self.brackets
        return "()"


def tokens_with_depth(text: str) -> list[tuple[str, int]]:
    """Return the tokens of a text, each with the number of brackets that are open before it."""
    depth, tokens = 0, []
    for token in _TOKEN.findall(text):
        if token in _CLOSE or token.startswith("\\end{"):
            depth -= 1
        tokens.append((token, depth))
        if token in _OPEN or token.startswith("\\begin{"):
            depth += 1
    return tokens


def split_top(text: str, separators: frozenset[str]) -> list[str]:
    """Return the pieces between separators that stand outside of all brackets; one piece where there are none."""
    pieces = [""]
    for token, depth in tokens_with_depth(text):
        if depth == 0 and token in separators:
            pieces.append("")
        else:
            pieces[-1] += token
    return [piece.strip() for piece in pieces]


def outer_brackets(text: str) -> tuple[str, str] | None:
    """Return the brackets around a whole text and what is in them; None where the first does not close at the end."""
    tokens = tokens_with_depth(text)
    if len(tokens) < 2 or tokens[0][0] not in _OPEN or tokens[-1][0] not in _CLOSE or tokens[0][0] == "{":
        return None
    if any(depth <= 0 for _, depth in tokens[1:-1]) or tokens[-1][1] != 0:
        return None
    return _OPEN[tokens[0][0]] + _CLOSE[tokens[-1][0]], "".join(token for token, _ in tokens[1:-1]).strip()


def read_sequence(text: str) -> Sequence | None:
    """Return the list, tuple, set or interval that a text is; None for a single value."""
    if exact_number(text) is not None or (_LONG_NUMBER.fullmatch(text) and not _LIST_WORDS.search(text)):
        return None  # 1,234 is one number
    if (signs := _both_signs(text)) is not None:
        return Sequence("", signs)
    outer = outer_brackets(text)
    if outer is None:
        parts = _parts(text)
        return Sequence("", _expanded(parts)) if len(parts) > 1 else None
    brackets, inner = outer
    parts = _parts(inner)
    if brackets == "{}":
        return Sequence("{}", _expanded(parts))
    return Sequence(brackets, parts) if len(parts) > 1 else None


def _parts(text: str) -> list[str]:
    # Semicolons separate what has commas of its own.
    for separator in (";", ","):
        pieces = split_top(_LIST_WORDS.sub(separator, text), frozenset(separator))
        if separator == ";" and ";" not in text and _is_one_list(pieces):
            continue
        if len(pieces) > 1:
            # "1, 2, and 3" has one empty piece.
            return [piece for piece in pieces if piece] if ", and" in text or ", or" in text else pieces
    return [text]


def _is_one_list(pieces: list[str]) -> bool:
    """Return whether a word stands before the last value only: "2, 3 and 5", but not "x=1, y=2 or x=3, y=4"."""
    sizes = [len(split_top(piece, frozenset(","))) for piece in pieces]
    return len(pieces) == 2 and sizes[0] > 1 and sizes[1] == 1 and not any("=" in piece for piece in pieces)


def _both_signs(text: str) -> list[str] | None:
    signs = re.compile(r"\\(pm|mp)(?![A-Za-z]) ?")
    if not signs.search(text) or len(_parts(text)) > 1:
        return None
    upper = signs.sub(lambda sign: "+" if sign[1] == "pm" else "-", text)
    lower = signs.sub(lambda sign: "-" if sign[1] == "pm" else "+", text)
    # A sign at the start of a value, such as "+2", is no sum.
    return [re.sub(r"(^|[=({\[]) ?\+", r"\1", upper), lower]


def _expanded(parts: list[str]) -> list[str]:
    return [value for part in parts for value in (_both_signs(part) or [part])]


def read_matrix(text: str) -> list[list[str]] | None:
    r"""Return the rows of a matrix; None for anything else, and for a determinant."""
    found = _MATRIX.fullmatch(text)
    if not found:
        return None
    body = re.sub(r"\\hline", "", found["body"]).strip()
    rows = split_top(re.sub(r"\\\\ *$", "", body), frozenset(["\\\\"]))
    return [split_top(row, frozenset("&")) for row in rows]


def read_rows(text: str) -> list[list[str]] | None:
    """Return the rows of a matrix that is written as lists, such as [[1, 2], [3, 4]]; None for anything else."""
    rows = split_top(text[1:-1].strip(), frozenset(",")) if _in_brackets(text) else []
    if not rows or not all(_in_brackets(row) for row in rows):
        return None
    return [split_top(row[1:-1], frozenset(",")) for row in rows]


def _in_brackets(text: str) -> bool:
    return len(text) > 2 and text[0] + text[-1] in ("[]", "()")


_CASES = re.compile(
    r"(?:\\\{ ?)?\\begin\{(?P<name>cases|aligned|array)\} ?(?:\{[lcr| ]*\})?(?P<body>.*)\\end\{(?P=name)\}", re.DOTALL
)
_CONDITION = re.compile(r"^(?:if|when|for|where|当|若)(?![a-z]) ?|[,;]$")


def read_cases(text: str) -> list[list[str]] | None:
    """Return the rows of a function in pieces or of a system of equations; None for anything else."""
    found = _CASES.fullmatch(text)
    # A table without the brace is a matrix.
    if not found or (found["name"] == "array" and not text.startswith("\\{")):
        return None
    rows = split_top(re.sub(r"\\\\ *$", "", found["body"].strip()), frozenset(["\\\\"]))
    return [[_CONDITION.sub("", cell.rstrip(",; ")).strip() for cell in split_top(row, frozenset("&"))] for row in rows]


# --- equations ----------------------------------------------------------------------------------------------------

SYMBOL = r"(?:[A-Za-z]|\\[A-Za-z]+)(?:_ ?(?:\{[^{}]{0,20}\}|[A-Za-z0-9]|\\[A-Za-z]+))?'{0,2}"
_LABEL = re.compile(
    rf"(?:{SYMBOL}(?: ?\([^()=]{{1,12}}\))?"  # x, x_1, f(x)
    r"|\|[A-Z]{2}\||m? ?\\(?:angle|measuredangle|triangle|odot) ?[A-Za-z0-9]{1,4}|[A-Z]{2,4}"
    r"|\\(?:overline|vec|overrightarrow|widehat|hat|overset\{\\frown\}) ?\{? ?[A-Za-z]{1,4} ?\}?"
    rf"|\\(?:sin|cos|tan) ?(?:\\angle ?)?(?:[A-Z]{{1,3}}|{SYMBOL})|[Ss]_ ?\{{[^{{}}]{{1,30}}\}}"
    r"|(?:[A-Za-z]|[A-Z]{2})(?: ?[+-] ?(?:[A-Za-z]|[A-Z]{2}))+|[A-Za-z]{2}"
    r"|\\frac ?\{ ?[A-Z]{1,2} ?\} ?\{ ?[A-Z]{1,2} ?\}"
    r"|\\frac ?\{ ?d ?[A-Za-z] ?\} ?\{ ?d ?[A-Za-z] ?\}|d[a-z]/d[a-z]"
    r"|[A-Z]{2}/[A-Z]{2}|[A-Za-z][A-Za-z]+(?: [A-Za-z]+){0,5}|[\u4e00-\u9fff]{1,10})"
)
_WORDS = re.compile(r"[A-Za-z][A-Za-z]+(?: [A-Za-z]+){0,5}|[\u4e00-\u9fff]{1,10}")
_NEGATION = re.compile(
    r"(?<![a-z])(?:not|no|never|except|cannot|none|nothing|neither|nor|false|wrong|incorrect|if|unless)(?![a-z])|[不非错]"
)
# Before mathematics only: "the sky is blue" is text.
_SENTENCE = re.compile(
    r"^(?:[Tt]he )?(?P<label>[A-Za-z]{2,}(?: [A-Za-z]+){0,3}|[\u4e00-\u9fff]{1,8}?) ?(?: (?:is|are|equals)(?= )|是|为)"
    r"(?: equal to)? ?(?=[-+(\[\\]? ?[0-9]|\\frac|\\sqrt)"
)
_POINT = re.compile(r"^(?P<name>[A-Z]'?) ?(?P<pair>\([^()]*,[^()]*\))$")


def split_equation(text: str) -> list[str]:
    r"""Return the sides of an equation or chain of equations; one side where there is no "=".

    "Area: 12", "The area is 12", "P(1, 2)" and "x \in (0, 1)" are read as equations too.
    """
    text = _SENTENCE.sub(r"\g<label> = ", text)
    text = _POINT.sub(r"\g<name> = \g<pair>", text)
    text = re.sub(r"^(?P<label>[A-Za-z]{2,}(?: [A-Za-z]+){0,3}|[\u4e00-\u9fff]{1,8}) ?: ?(?=\S)", r"\g<label> = ", text)
    text = re.sub(r"^([A-Za-z]) ?\\in(?![A-Za-z]) ?(?=[(\[\\])", r"\1 = ", text)
    return split_top(text, frozenset("="))


def is_label(text: str) -> bool:
    """Return whether the left side of an equation is only a name for the right side."""
    return _LABEL.fullmatch(text) is not None and _NEGATION.search(text.lower()) is None


def same_label(one: str, other: str) -> bool:
    """Return whether two labels may name the same: equal, or a word and its first letter."""
    keys = [re.sub(r"[ {}]|\\(?:angle|measuredangle)|^m(?=\\)", "", label).lower() for label in (one, other)]
    exact = [re.sub(r"[ {}]", "", label) for label in (one, other)]
    if exact[0] == exact[1]:
        return True
    are_words = [
        len(label) > 2 and _WORDS.fullmatch(label) is not None and not label.isupper() for label in (one, other)
    ]
    if all(are_words):
        return keys[0] == keys[1]
    if any(are_words):
        word, letter = (keys[0], keys[1]) if are_words[0] else (keys[1], keys[0])
        return letter == word[0] or (word, letter) == ("area", "s")
    return "angle" in one + other and keys[0] == keys[1]


_SYMMETRIC = ("\\parallel", "\\perp", "\\cong", "\\sim")


def sides_of_statement(text: str) -> tuple[str, frozenset[str]] | None:
    r"""Return the sign and the sides, in no order, of a statement such as "AB \parallel CD"; None for other texts."""
    for sign in _SYMMETRIC:
        sides = split_top(text, frozenset([sign]))
        if len(sides) == 2 and all(sides):
            return sign, frozenset(re.sub(r"[ {}]", "", side) for side in sides)
    return None
