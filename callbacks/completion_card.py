"""A picture of one rollout group: the image, the question, and every completion with its scores."""

import textwrap
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from algorithms import Claim, Prompt, RolloutGroup

WIDTH, MARGIN, IMAGE_SIDE, LINE = 1000, 16, 192, 20
TEXT_COLUMNS = 96
BLACK, GRAY, RED, GREEN, RULE = (25, 25, 25), (110, 110, 110), (200, 30, 30), (20, 130, 60), (225, 225, 225)


def completion_card(group: RolloutGroup) -> Image.Image:
    """Return the card; claims that the image supports are green, the others red."""
    blocks = [wrap_text(completion.text) for completion in group.completions]
    height = 2 * MARGIN + IMAGE_SIDE + sum((len(lines) + 2) * LINE for lines in blocks)
    card = Image.new("RGB", (WIDTH, height), "white")
    canvas, font = ImageDraw.Draw(card), ImageFont.load_default(size=15)
    draw_prompt(card, canvas, font, group.prompt)
    y = MARGIN + IMAGE_SIDE + LINE // 2
    claims = group.claims or [None] * len(group.completions)
    for index, (completion, lines) in enumerate(zip(group.completions, blocks, strict=True)):
        canvas.line((MARGIN, y - 4, WIDTH - MARGIN, y - 4), fill=RULE)
        canvas.text((MARGIN, y), score_line(group, index), fill=GRAY, font=font)
        draw_text(canvas, font, y + LINE, completion.text, claims[index] or [])
        y += (len(lines) + 2) * LINE
    return card


def score_line(group: RolloutGroup, index: int) -> str:
    """Return the scores of one completion of a group in one line."""
    scores = {name: group.score(name, index) for name in group.parts}
    parts = "  ".join(f"{name} {'-' if score is None else f'{score:g}'}" for name, score in scores.items())
    return f"advantage {group.advantages[index]:+.2f}   reward {group.rewards[index]:.2f}   ({parts})"


def draw_prompt(card: Image.Image, canvas: ImageDraw.ImageDraw, font: Any, prompt: Prompt) -> None:
    """Draw images and question at the top of a card."""
    x = MARGIN
    for reference in prompt.images[:2]:
        picture = reference.load()
        scale = IMAGE_SIDE / max(picture.size)
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        card.paste(picture.resize(size, Image.Resampling.NEAREST), (x, MARGIN))
        x += IMAGE_SIDE + MARGIN
    lines = [*textwrap.wrap(prompt.question, 60)[:6], f"answer: {prompt.answer}", f"prompt {prompt.key}"]
    for number, line in enumerate(lines):
        canvas.text((x, MARGIN + number * LINE), line, fill=BLACK, font=font)


def draw_text(canvas: ImageDraw.ImageDraw, font: Any, y: int, text: str, claims: Sequence[Claim]) -> None:
    """Draw a completion from a height on, its claims in colour."""
    colors = [BLACK] * len(text)
    for claim in claims:
        colors[claim.start : claim.end] = [GREEN if claim.is_supported else RED] * (claim.end - claim.start)
    for number, (start, line) in enumerate(wrap_text(text)):
        _draw_line(canvas, font, (MARGIN, y + number * LINE), line, colors[start : start + len(line)])


def wrap_text(text: str) -> list[tuple[int, str]]:
    """Return lines with the position of their first character; words are kept whole where they fit."""
    lines: list[tuple[int, str]] = []
    start = 0
    while start < len(text):
        end = min(len(text), start + TEXT_COLUMNS)
        if end < len(text) and (space := text.rfind(" ", start, end)) > start:
            end = space + 1
        lines.append((start, text[start:end].replace("\n", " ")))
        start = end
    return lines or [(0, "")]


def _draw_line(
    canvas: ImageDraw.ImageDraw,
    font: Any,
    place: tuple[int, int],
    line: str,
    colors: Sequence[tuple[int, int, int]],
) -> None:
    """Draw runs of one colour one after another."""
    x, y = place
    start = 0
    for end in range(1, len(line) + 1):
        if end == len(line) or colors[end] != colors[start]:
            run = line[start:end]
            canvas.text((x, y), run, fill=colors[start], font=font)
            x += canvas.textlength(run, font=font)
            start = end
