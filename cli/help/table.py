"""Keys, values and meanings as lines of one screen."""

import re
import textwrap
from collections.abc import Sequence

_VALUE_COLUMN = 24  # characters
# Not after "eq." and the like, which end no sentence.
_SENTENCE_END = re.compile(r"(?<!\beq)(?<!e\.g)(?<!i\.e)\.\s+(?=[A-Z])")
Row = tuple[str, str, str]
"""Key, value, meaning."""


def table(rows: Sequence[Row], *, columns: int, lines: int) -> str:
    """Return one line for each key. Where these are more than a screen, keys far below become one line for all.

    Args:
        rows: in their order.
        columns: width of the screen, characters.
        lines: height of the screen.
    """
    depths = [key.count(".") for key, _, _ in rows]
    shown = _folded(rows, max(depths))
    for depth in range(max(depths) - 1, min(depths) - 1, -1):
        if len(shown) > lines:
            shown = _folded(rows, depth)
    key_width = max(len(key) for key, _, _ in shown)
    room = columns - key_width - _VALUE_COLUMN - 4
    meanings = [textwrap.wrap(_first_sentence(meaning), room) or [""] for _, _, meaning in shown]
    # Cut meanings only where all of them in full would be more than a screen.
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
    # A key's meaning is followed by what is worth knowing, which belongs to the docs.
    return _SENTENCE_END.split(meaning.replace("``", ""), maxsplit=1)[0].removesuffix(".")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 2].rstrip()} …"
