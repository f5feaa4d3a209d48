"""Numbers as the page shows them."""

from collections.abc import Sequence

from experiments.claims import Measure
from run_records import Interval

NONE = "–"  # noqa: RUF001
FEWEST_SEEDS = 3
"""Fewest seeds for a useful interval: the interval of two values reaches six times their distance to both sides."""


def seeds(number: int) -> str:
    """Return a number of seeds in words."""
    if number == 0:
        return "no seed yet"
    return f"{number} seed{'' if number == 1 else 's'}{': no interval' if number < FEWEST_SEEDS else ''}"


def mean(interval: Interval | None, measure: Measure) -> str:
    """Return a mean with half the width of its interval, if it has a useful one: ``71.2 ± 4.0 %``."""
    if interval is None:
        return NONE
    factor, unit, digits = _scale(measure)
    spread = (
        ""
        if interval.high is None or interval.n < FEWEST_SEEDS
        else f" ± {factor * (interval.high - interval.mean):.{digits}f}"
    )
    return f"{factor * interval.mean:.{digits}f}{spread}{unit}"


def difference(interval: Interval | None, measure: Measure) -> str:
    """Return a difference with its interval: ``+2.3 points [0.4, 4.2]``."""
    if interval is None:
        return NONE
    factor, _, digits = _scale(measure)
    unit = " points" if measure.is_share else ""
    told = f"{factor * interval.mean:+.{digits}f}{unit}"
    if interval.low is None or interval.high is None or interval.n < FEWEST_SEEDS:
        return f"{told} ({seeds(interval.n)})"
    return f"{told} [{factor * interval.low:.{digits}f}, {factor * interval.high:.{digits}f}]"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    lines = [list(headings), ["---"] * len(headings), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def span(values: Sequence[float], measure: Measure) -> str:
    """Return the lowest and the highest of some values: ``12.50 to 16.00``; one number where they look the same."""
    if not values:
        return NONE
    factor, unit, digits = _scale(measure)
    ends = dict.fromkeys(f"{factor * value:.{digits}f}" for value in (min(values), max(values)))
    return f"{' to '.join(ends)}{unit}"


def change(value: float, measure: Measure) -> str:
    """Return the difference of one seed, without unit: ``+2.3``."""
    factor, _, digits = _scale(measure)
    return f"{factor * value:+.{digits}f}"


def _scale(measure: Measure) -> tuple[float, str, int]:
    return (100.0, " %", 1) if measure.is_share else (1.0, "", measure.digits)
