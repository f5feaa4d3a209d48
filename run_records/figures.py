"""Figures of curves: one colour per method, thin lines per seed, a thick mean and a band of its 95 % interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from run_records.intervals import mean_interval

XY = Sequence[tuple[float, float]]
_POINTS = 100


def draw_panels(panels: Mapping[str, Mapping[str, Sequence[XY]]], path: Path, *, columns: int = 2) -> list[Path]:
    """Draw one panel per title, as PNG and as SVG.

    Args:
        panels: for each title the curves of every seed of each method, as (x, y); methods without any are left out.
        path: the PNG file; the SVG file lies beside it.
        columns: panels side by side.

    Returns:
        The files.
    """
    columns = max(1, min(columns, len(panels)))
    rows = -(-len(panels) // columns)
    # Without pyplot, which would keep the figure and may open a window.
    figure = Figure(figsize=(6.2 * columns, 3.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    # By name: a panel may lack a method that others have.
    names = dict.fromkeys(method for methods in panels.values() for method in methods)
    colors = {name: f"C{number}" for number, name in enumerate(names)}
    lines: dict[str, Line2D] = {}
    for axes, (title, methods) in zip(grid.flat, panels.items(), strict=False):
        for method, curves in methods.items():
            drawn = [np.asarray(curve, dtype=float) for curve in curves if len(curve)]
            if drawn:
                lines[method] = _draw(axes, drawn, colors[method], method)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    if lines:
        shown = [name for name in names if name in lines]
        # Below the panels, where it hides no curve.
        figure.legend([lines[name] for name in shown], shown, loc="outside lower center", ncols=4, fontsize=8)
    for unused in list(grid.flat)[len(panels) :]:
        unused.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    files = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for file in files:
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def mean_and_band(curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, mean, lower and upper end of the band, where all curves are known.

    Args:
        curves: arrays (points, 2) of x and y, with x rising; at least one.
    """
    first, last = max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves)
    x = np.linspace(first, max(first, last), _POINTS)
    values = np.asarray([np.interp(x, curve[:, 0], curve[:, 1]) for curve in curves])  # (seeds, points)
    intervals = [mean_interval([float(value) for value in column]) for column in values.T]
    mean = np.asarray([interval.mean for interval in intervals])
    low, high = (
        np.asarray([interval.mean if end is None else end for interval, end in zip(intervals, ends, strict=True)])
        for ends in ([interval.low for interval in intervals], [interval.high for interval in intervals])
    )
    return x, mean, low, high


def _draw(axes: Axes, curves: list[np.ndarray], color: str, label: str) -> Line2D:
    """Draw a method into a panel and return the line of its mean."""
    for curve in curves:
        axes.plot(curve[:, 0], curve[:, 1], color=color, alpha=0.25, linewidth=0.8)
    x, mean, low, high = mean_and_band(curves)
    (line,) = axes.plot(x, mean, color=color, linewidth=2.0, label=label)
    if len(curves) > 1:
        # The interval of few seeds may be far wider than the curves: the view stays on them.
        limits = axes.get_ylim()
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set_ylim(limits)
    return line
