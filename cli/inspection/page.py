"""Writes the page: one file that works from ``file://`` and contains its pictures."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cli.inspection.findings import Findings
from storage import whole_file

_BINS = 12


def write_page(path: Path, found: Findings) -> None:
    """Write the page as a whole file or not at all."""
    # Escaped, because questions and columns are foreign texts, and some contain HTML.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    environment.globals["histogram"] = histogram
    text = environment.get_template("page.html").render(found=found)
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def histogram(lengths: Sequence[int]) -> list[tuple[str, int, float]]:
    """Return the bins of a histogram of lengths: range in words, number of prompts, share of the largest bin."""
    if not lengths:
        return []
    low, high = min(lengths), max(lengths)
    width = max(1, -(-(high - low + 1) // _BINS))
    counts = [0] * ((high - low) // width + 1)
    for length in lengths:
        counts[(length - low) // width] += 1
    return [
        (f"{low + i * width} - {low + (i + 1) * width - 1}", count, count / max(counts))
        for i, count in enumerate(counts)
    ]
