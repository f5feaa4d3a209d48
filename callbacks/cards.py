"""Pictures for TensorBoard: a prompt with its images, and completions below it with their claims in colour.

    completion_card    a rollout group: every completion, below a line with its scores
    probe_card         a probe: its completion, below a line with the number of unsupported claims

Claims that the image supports are green, the others red. A picture is an array (height, width, 3) of 8-bit colours.
"""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from algorithms import Claim, Prompt, RolloutGroup
from hallucination import JudgedCompletion

WIDTH, MARGIN, IMAGE_SIDE, LINE = 1000, 16, 192, 20  # pixels
FONT_SIZE = 15
# Longest lines, in characters, that fit the width at this font size; the question has the images beside it.
TEXT_COLUMNS, QUESTION_COLUMNS, HEADING_COLUMNS = 96, 60, 120
MAX_IMAGES, MAX_QUESTION_LINES = 2, 6
BLACK, GRAY, RED, GREEN, RULE = (25, 25, 25), (110, 110, 110), (200, 30, 30), (20, 130, 60), (225, 225, 225)


class _Entry(NamedTuple):
    """One completion of a card."""

    heading: str
    text: str
    claims: Sequence[Claim]


def completion_card(group: RolloutGroup) -> np.ndarray:
    """Return the picture of a rollout group."""
    # A completion without claims is drawn in black, whether it was judged or not.
    claims = group.claims or [None] * len(group.completions)
    entries = [
        _Entry(score_line(group, index), completion.text, claims[index] or [])
        for index, completion in enumerate(group.completions)
    ]
    return _draw_card(group.prompt, entries, has_rules=True)


def probe_card(judged: JudgedCompletion) -> np.ndarray:
    """Return the picture of a probe."""
    prompt, completion, claims = judged
    truth = str(prompt.answer) if prompt.facts is None else ", ".join(prompt.facts)
    heading = f"{judged.num_unsupported} of {len(claims)} claims unsupported; the image shows: {truth}"
    return _draw_card(prompt, [_Entry(heading[:HEADING_COLUMNS], completion.text, claims)], has_rules=False)


def score_line(group: RolloutGroup, index: int) -> str:
    """Return the scores of one completion of a group in one line."""
    scores = {name: group.score(name, index) for name in group.parts}
    parts = "  ".join(f"{name} {'-' if score is None else f'{score:g}'}" for name, score in scores.items())
    return f"advantage {group.advantages[index]:+.2f}   reward {group.rewards[index]:.2f}   ({parts})"


def _draw_card(prompt: Prompt, entries: Sequence[_Entry], *, has_rules: bool) -> np.ndarray:
    """Draw the prompt and the entries below it, with a rule above each entry if there are several to tell apart."""
    # The lines of a text, one for its heading, and an empty one.
    heights = [(len(_wrapped(entry.text)) + 2) * LINE for entry in entries]
    card = _Card(2 * MARGIN + IMAGE_SIDE + sum(heights))
    card.draw_prompt(prompt)
    y = MARGIN + IMAGE_SIDE + LINE // 2
    for entry, height in zip(entries, heights, strict=True):
        if has_rules:
            card.draw_rule(y - 4)
        card.write(MARGIN, y, entry.heading, GRAY)
        card.draw_text(y + LINE, entry.text, entry.claims)
        y += height
    return np.asarray(card.image)


class _Card:
    """A white picture and what can be drawn on it; places are in pixels from the upper left corner."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH, height), "white")
        self._pen = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default(size=FONT_SIZE)

    def write(self, x: float, y: float, line: str, color: tuple[int, int, int]) -> float:
        """Write a line and return the place of its right end."""
        self._pen.text((x, y), line, fill=color, font=self._font)
        return x + self._pen.textlength(line, font=self._font)

    def draw_rule(self, y: int) -> None:
        """Draw a thin line across the card."""
        self._pen.line((MARGIN, y, WIDTH - MARGIN, y), fill=RULE)

    def draw_prompt(self, prompt: Prompt) -> None:
        """Draw images, question and answer at the top."""
        x = MARGIN
        for reference in prompt.images[:MAX_IMAGES]:
            picture = reference.load()
            scale = IMAGE_SIDE / max(picture.size)
            # A long thin image must keep one pixel.
            size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
            self.image.paste(picture.resize(size, Image.Resampling.NEAREST), (x, MARGIN))
            x += IMAGE_SIDE + MARGIN
        question = textwrap.wrap(prompt.question, QUESTION_COLUMNS)[:MAX_QUESTION_LINES]
        for number, line in enumerate([*question, f"answer: {prompt.answer}", f"prompt {prompt.key}"]):
            self.write(x, MARGIN + number * LINE, line, BLACK)

    def draw_text(self, y: int, text: str, claims: Sequence[Claim]) -> None:
        """Draw a completion from a height on, its claims in colour."""
        colors = [BLACK] * len(text)  # one per character
        for claim in claims:
            colors[claim.start : claim.end] = [GREEN if claim.is_supported else RED] * (claim.end - claim.start)
        for number, (start, line) in enumerate(_wrapped(text)):
            self._draw_line(y + number * LINE, line, colors[start : start + len(line)])

    def _draw_line(self, y: int, line: str, colors: Sequence[tuple[int, int, int]]) -> None:
        """Draw runs of one colour one after another."""
        x, start = float(MARGIN), 0
        for end in range(1, len(line) + 1):
            if end == len(line) or colors[end] != colors[start]:
                x = self.write(x, y, line[start:end], colors[start])
                start = end


def _wrapped(text: str) -> list[tuple[int, str]]:
    """Return lines, each with the position of its first character; words are kept whole where they fit."""
    lines: list[tuple[int, str]] = []
    start = 0
    while start < len(text):
        end = min(len(text), start + TEXT_COLUMNS)
        if end < len(text) and (space := text.rfind(" ", start, end)) > start:
            end = space + 1
        # A space for a line break: same length, so that the positions of claims stay valid.
        lines.append((start, text[start:end].replace("\n", " ")))
        start = end
    # An empty completion takes one line too.
    return lines or [(0, "")]
