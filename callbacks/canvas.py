"""A white picture, as wide as TensorBoard shows pictures, with methods that write and draw on it.

Places are in pixels from the upper left corner.
"""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

# TensorBoard shows a picture at most 350 pixels wide unless a reader asks for its true size: at this width the text
# stays readable without a click.
WIDTH, MARGIN, LINE, FONT_SIZE = 400, 12, 18, 14
BLACK, GRAY, RED, GREEN, RULE = (25, 25, 25), (110, 110, 110), (200, 30, 30), (20, 130, 60), (225, 225, 225)
_FONT = ImageFont.load_default(size=FONT_SIZE)

Color = tuple[int, int, int]


def wrapped(text: str, width: float = WIDTH - 2 * MARGIN) -> list[tuple[int, str]]:
    """Return lines that fit a width, each with the position of its first character; one line for an empty text.

    A line has as many characters as its part of the text, so positions in the text stay valid.
    """
    # Same length: a line break is drawn as a space.
    text = text.replace("\n", " ").replace("\t", " ")
    lines: list[tuple[int, str]] = []
    start = 0
    while start < len(text):
        end = start + _num_fitting(text[start : start + int(width)], width)
        if end < len(text) and (space := text.rfind(" ", start, end)) > start:
            end = space + 1
        lines.append((start, text[start:end]))
        start = end
    return lines or [(0, "")]


def _num_fitting(text: str, width: float) -> int:
    """Return how many characters fit a width, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = math.ceil((low + high) / 2)
        low, high = (middle, high) if _FONT.getlength(text[:middle]) <= width else (low, middle - 1)
    return low


class Canvas:
    """A picture of a given height."""

    def __init__(self, height: int) -> None:
        """Start white."""
        self.image = Image.new("RGB", (WIDTH, height), "white")
        self._pen = ImageDraw.Draw(self.image)

    def write(self, x: float, y: float, line: str, color: Color = BLACK, *, underlined: bool = False) -> float:
        """Write a line and return the place of its right end."""
        self._pen.text((x, y), line, fill=color, font=_FONT)
        end = x + self._pen.textlength(line, font=_FONT)
        if underlined:
            self._pen.line((x, y + LINE - 1, end, y + LINE - 1), fill=color)
        return end

    def write_colored(self, y: float, line: str, colors: Sequence[Color]) -> None:
        """Write a line with a color for each character; red is underlined, for readers who cannot see it."""
        x, start = float(MARGIN), 0
        for end in range(1, len(line) + 1):
            if end == len(line) or colors[end] != colors[start]:
                x = self.write(x, y, line[start:end], colors[start], underlined=colors[start] == RED)
                start = end

    def rule(self, y: int) -> None:
        """Draw a thin line across the picture."""
        self._pen.line((MARGIN, y, WIDTH - MARGIN, y), fill=RULE)

    def mark(self, x: float, y: float, is_right: bool | None) -> float:
        """Draw a green tick, a red cross, or a gray question mark where it is unknown; return the place after it."""
        if is_right is None:
            self.write(x + 3, y, "?", GRAY)
        elif is_right:
            self._pen.line((x, y + 9, x + 4, y + 13, x + 12, y + 3), fill=GREEN, width=3)
        else:
            self._pen.line((x + 1, y + 4, x + 10, y + 13), fill=RED, width=3)
            self._pen.line((x + 1, y + 13, x + 10, y + 4), fill=RED, width=3)
        return x + 18

    def paste(self, picture: Image.Image, x: int, y: int, side: int) -> None:
        """Draw a picture with its own proportions; ``side`` is the length of its longer side."""
        scale = side / max(picture.size)
        # The shorter side of a long thin picture needs at least one pixel.
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        # Enlarged pixels stay sharp; a photograph that is made smaller is smoothed.
        how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BILINEAR
        self.image.paste(picture.resize(size, how), (x, y))
