"""Figures of curves: one colour per method, thin lines per seed, a thick mean and a band of its 95 % interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from run_records.intervals import mean_interval

XY = Sequence[tuple[float, float]]
_POINTS = 100
_FEWEST_FOR_A_BAND = 3  # seeds
# Okabe and Ito's colours, which colour-blind readers can distinguish too; neighbours in this order differ most.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def draw_panels(panels: Mapping[str, Mapping[str, Sequence[XY]]], path: Path, *, columns: int = 2) -> list[Path]:
    """Draw one panel per title, as PNG and as SVG.

    Args:
        panels: for each title the curves of every seed of each method, as (x, y); methods without any are left out.
        path: the PNG file; the SVG file lies beside it.
        columns: panels side by side.

    Returns:
        The files.
    """
    figure = new_figure()
    draw_on(figure, panels, columns=columns)
    return save_figure(figure, path)


def new_figure() -> Figure:
    """Return an empty figure without pyplot, which would keep the figure in memory and may open a window."""
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and as SVG, the same files for the same figure, and return both.

    Args:
        figure: figure from ``new_figure``.
        path: the PNG file; the SVG file lies beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_suffix(".png"), path.with_suffix(".svg")]
    # Without these settings an SVG contains a date and random names.
    with rc_context({"svg.hashsalt": "panels", "svg.fonttype": "none"}):
        for file in files:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def draw_on(
    figure: Figure, panels: Mapping[str, Mapping[str, Sequence[XY]]], *, columns: int = 2, x_label: str = ""
) -> None:
    """Draw one panel per title on an empty figure, such as one that a notebook shows.

    Args:
        figure: figure, which is resized for the panels.
        panels: for each title the curves of every seed of each method, as (x, y); methods without any are left out.
        columns: panels side by side.
        x_label: label of the x axis, with its unit.
    """
    columns = max(1, min(columns, len(panels)))
    rows = -(-len(panels) // columns)
    figure.set_size_inches(6.2 * columns, 3.8 * rows)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    names = dict.fromkeys(method for methods in panels.values() for method in methods)
    for axes, (title, methods) in zip(grid.flat, panels.items(), strict=False):
        # Colours are assigned from the methods of all panels, because a panel may lack some of them.
        draw_panel(axes, title, {name: methods.get(name, ()) for name in names})
        axes.set_xlabel(x_label)
    drawn = [axes.get_legend_handles_labels() for axes in grid.flat]
    lines = {label: line for handles, labels in drawn for line, label in zip(handles, labels, strict=True)}
    if lines:
        shown = [name for name in names if name in lines]
        # The legend is below the panels, where it hides no curve.
        figure.legend([lines[name] for name in shown], shown, loc="outside lower center", ncols=4, fontsize=8)
    for unused in list(grid.flat)[len(panels) :]:
        unused.set_visible(False)


def draw_panel(axes: Axes, title: str, methods: Mapping[str, Sequence[XY]]) -> None:
    """Draw the curves of each method, with a band from three seeds on; the band of two seeds would be too wide.

    Args:
        axes: the panel.
        title: title of the panel.
        methods: the curves of every seed by method; a method without curves still takes its colour.
    """
    bands: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
    for number, (method, given) in enumerate(methods.items()):
        color = COLORS[number % len(COLORS)]
        curves = [np.asarray(curve, dtype=float) for curve in given if len(curve)]
        if not curves:
            continue
        for curve in curves:
            axes.plot(curve[:, 0], curve[:, 1], color=color, alpha=0.3, linewidth=0.8)
        x, mean, low, high = mean_and_band(curves)
        axes.plot(x, mean, color=color, linewidth=2.0, label=method)
        bands += [(color, x, low, high)] if len(curves) >= _FEWEST_FOR_A_BAND else []
    # The interval of few seeds may be far wider than the curves, so the axis shows the range of all curves.
    # Read before the bands are drawn, which would widen the axis.
    limits = axes.get_ylim()
    for color, x, low, high in bands:
        axes.fill_between(x, low, high, color=color, alpha=0.12, linewidth=0)
    axes.set_ylim(limits)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)


def mean_and_band(curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, mean, lower and upper end of the band, for the x at which all curves have values.

    Args:
        curves: arrays (points, 2) of x and y, with x rising; at least one.
    """
    # Curves may begin and end at different x; outside of the common part a mean would jump.
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
