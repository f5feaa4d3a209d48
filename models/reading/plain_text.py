"""Keeps the text of users and data plain text: no tokenizer finds a control token in it.

A text that holds ``<|im_end|>`` is cut within that token, and the pieces are tokenized one by one:

    is <|im_end|> red ?   ->   is < | |im_end|> red ?

The tokens still spell the text. Unlike a switch of the tokenizer this works for every kind of tokenizer, and a text
without control tokens has no cut, so that its tokens are those of ``apply_chat_template``.
"""

import re

# A noncharacter: Unicode reserves it for internal use, so no text holds it. Chat templates keep it.
CUT = "\U0010fffe"


def cut_controls(text: str, controls: re.Pattern[str] | None) -> str:
    """Return a text with a cut after the first character of each control token that ``controls`` finds."""
    if controls is None:
        return text
    pieces: list[str] = []
    start = 0
    while found := controls.search(text, start):
        # The search goes on inside of the match, because a match may contain or overlap further control tokens.
        pieces.append(text[start : found.start() + 1])
        start = found.start() + 1
    return CUT.join([*pieces, text[start:]])


def without_cuts(text: str) -> str:
    """Undo ``cut_controls``."""
    return text.replace(CUT, "")
