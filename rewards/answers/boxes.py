r"""Finds ``\boxed{...}``, ``\boxed 5`` and ``\fbox{...}`` in a text, with matched braces and in one pass over it."""

import re

# An escaped character such as \{ is one token, so that it never counts as a brace.
_TOKEN = re.compile(
    r"(?P<box>\\(?:boxed|fbox)\s*\{)"
    # Without braces LaTeX boxes one token, but a model that writes \boxed 12 means the whole number.
    r"|\\(?:boxed|fbox)(?![A-Za-z])\s{0,9}(?P<bare>-?[0-9](?:[0-9.,]*[0-9])?|[A-Za-z])(?![A-Za-z0-9])"
    r"|\\.|(?P<open>\{)|(?P<close>\})",
    re.DOTALL,
)


def find_boxes(text: str) -> list[str | None]:
    r"""Return the content of every outermost box in order; None for one that is never closed."""
    boxes: list[str | None] = []
    start, depth = 0, 0  # depth counts the braces that are open within a box; 0 is outside
    for token in _TOKEN.finditer(text):
        if depth == 0:
            if token["box"]:
                start, depth = token.end(), 1
            elif token["bare"]:
                boxes.append(token["bare"])
        elif token["box"] or token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth == 0:
                boxes.append(text[start : token.start()])
    return [*boxes, None] if depth else boxes
