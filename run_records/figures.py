"""Figures of curves: one colour per method, thin lines per seed, a thick mean and a band of its 95 % interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
    # Without pyplot, which would keep the figure and may open a window.
    figure = Figure()
    FigureCanvasAgg(figure)
    draw_on(figure, panels, columns=columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for file in files:
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def draw_on(
    figure: Figure, panels: Mapping[str, Mapping[str, Sequence[XY]]], *, columns: int = 2, x_label: str = ""
) -> None:
    """Draw one panel per title on an empty figure, such as one that a notebook shows.

    Args:
        figure: gets the size that the panels need.
        panels: for each title the curves of every seed of each method, as (x, y); methods without any are left out.
        columns: panels side by side.
        x_label: what x is, with its unit.
    """
    columns = max(1, min(columns, len(panels)))
    rows = -(-len(panels) // columns)
    figure.set_size_inches(6.2 * columns, 3.8 * rows)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, methods) in zip(grid.flat, panels.items(), strict=False):
        arrays = [[np.asarray(curve, dtype=float) for curve in curves if len(curve)] for curves in methods.values()]
        for number, (method, curves) in enumerate(zip(methods, arrays, strict=True)):
            _draw_lines(axes, curves, f"C{number}", method)
        # The interval of few seeds may be far wider than the curves: the view stays on these, of all methods.
        limits = axes.get_ylim()
        for number, curves in enumerate(arrays):
            _draw_band(axes, curves, f"C{number}")
        axes.set_ylim(limits)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(x_label)
        axes.grid(alpha=0.3)
    for axes in grid.flat:
        # The first panel alone may lack a method that others have.
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8)
    for unused in list(grid.flat)[len(panels) :]:
        unused.set_visible(False)


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


def _draw_lines(axes: Axes, curves: list[np.ndarray], color: str, label: str) -> None:
    for curve in curves:
        axes.plot(curve[:, 0], curve[:, 1], color=color, alpha=0.25, linewidth=0.8)
    if curves:
        x, mean, _, _ = mean_and_band(curves)
        axes.plot(x, mean, color=color, linewidth=2.0, label=label)


def _draw_band(axes: Axes, curves: list[np.ndarray], color: str) -> None:
    if len(curves) > 1:
        x, _, low, high = mean_and_band(curves)
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
