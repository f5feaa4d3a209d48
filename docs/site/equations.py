"""Equations as pictures within the page, drawn by matplotlib: no script and no network; a hook of mkdocs.

The LaTeX stays in the page as the name of the picture, for readers that speak it and for search engines.
"""

import html
import re
from collections.abc import Iterator

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Curve
from matplotlib.textpath import TextPath, TextToPath

EQUATION = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)
FONT = FontProperties(size=100, math_fontfamily="stix")
LETTERS = {Curve.MOVETO: "M", Curve.LINETO: "L", Curve.CURVE3: "Q", Curve.CURVE4: "C", Curve.CLOSEPOLY: "Z"}
EM = FONT.get_size_in_points() * 0.92
"""Units of a picture to one letter height of the text around it."""


def on_page_content(content: str, **_: object) -> str:
    """Replace the LaTeX of ``$...$`` and ``$$...$$``."""
    return EQUATION.sub(_drawn, content)


def _drawn(match: re.Match[str]) -> str:
    is_block = match[1] == "div"
    latex = " ".join(html.unescape(match[3] if is_block else match[2]).split())
    picture = svg(latex)
    return f'<div class="equation">{picture}</div>' if is_block else picture


def svg(latex: str) -> str:
    """Return an equation as an SVG element in the colour of the text.

    Raises:
        ValueError: matplotlib does not know a command of the equation; mkdocs then stops with it.
    """
    text = f"${latex}$"
    width, height, depth = TextToPath().get_text_width_height_descent(text, FONT, ismath=True)
    curve = TextPath((0, 0), text, prop=FONT)
    name = html.escape(latex, quote=True)
    return (
        f'<svg class="equation" role="img" aria-label="{name}" width="{width / EM:.3f}em" height="{height / EM:.3f}em" '
        f'style="vertical-align:{-depth / EM:.3f}em" viewBox="0 {depth - height:.1f} {width:.1f} {height:.1f}">'
        f'<title>{name}</title><path fill="currentColor" d="{"".join(_steps(curve))}"/></svg>'
    )


def _steps(curve: Curve) -> Iterator[str]:
    for points, code in curve.iter_segments(curves=True, simplify=False):
        if code == Curve.CLOSEPOLY:
            yield "Z"
        else:
            # Down is positive in a picture and up is in an equation.
            yield LETTERS[code] + " ".join(f"{x:.1f} {-y:.1f}" for x, y in zip(points[::2], points[1::2], strict=True))
