"""Keys, values and meanings as lines of one screen."""

import re
import textwrap
from collections.abc import Sequence

_VALUE_COLUMN = 24  # characters
# The full stop of "eq." and similar abbreviations ends no sentence.
_SENTENCE_END = re.compile(r"(?<!\beq)(?<!e\.g)(?<!i\.e)\.\s+(?=[A-Z])")
Row = tuple[str, str, str]
"""Key, value, meaning."""


def table(rows: Sequence[Row], *, columns: int, lines: int) -> str:
    """Return one line for each key. When they fill more than a screen, deeply nested keys share one line.

    Args:
        rows: keys, values and meanings, in order.
        columns: width of the screen in characters.
        lines: height of the screen in lines.
    """
    depths = [key.count(".") for key, _, _ in rows]
    shown = _folded(rows, max(depths))
    for depth in range(max(depths) - 1, min(depths) - 1, -1):
        if len(shown) > lines:
            shown = _folded(rows, depth)
    key_width = max(len(key) for key, _, _ in shown)
    room = columns - key_width - _VALUE_COLUMN - 4
    meanings = [textwrap.wrap(_first_sentence(meaning), room) or [""] for _, _, meaning in shown]
    # Meanings are cut only when the full meanings would fill more than a screen.
    is_cut = sum(map(len, meanings)) > lines
    text: list[str] = []
    for (key, value, _), meaning in zip(shown, meanings, strict=True):
        first = _cut(" ".join(meaning), room) if is_cut else meaning[0]
        text.append(f"{key:<{key_width}}  {_cut(value, _VALUE_COLUMN):<{_VALUE_COLUMN}}  {first}".rstrip())
        text += [] if is_cut else [" " * (columns - room) + more for more in meaning[1:]]
    return "\n".join(text)


def _folded(rows: Sequence[Row], depth: int) -> list[Row]:
    shown: list[Row] = []
    for key, value, meaning in rows:
        if key.count(".") <= depth:
            inside = sum(other.startswith(f"{key}.") for other, _, _ in rows)
            is_folded = inside and key.count(".") == depth
            shown.append((key, value, f"{meaning.rstrip('.')}; {inside} keys: --help {key}" if is_folded else meaning))
    return shown


def _first_sentence(meaning: str) -> str:
    # Only the first sentence is the meaning; further sentences are for the docs.
    return _SENTENCE_END.split(meaning.replace("``", ""), maxsplit=1)[0].removesuffix(".")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 2].rstrip()} …"
