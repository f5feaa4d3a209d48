"""Figures of the experiments: panels of curves, one colour per method, thin lines per seed and a thick mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]


def draw_panels(panels: Mapping[str, Mapping[str, Sequence[Curve]]], path: Path, *, columns: int = 2) -> None:
    """Draw one panel per title.

    Args:
        panels: for each title the curves of every seed of each method, as (x, y); methods without any are left out.
        path: PNG file.
        columns: panels side by side.
    """
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(6.2 * columns, 3.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, methods) in zip(grid.flat, panels.items(), strict=False):
        for number, (method, curves) in enumerate(methods.items()):
            drawn = [np.asarray(curve, dtype=float) for curve in curves if len(curve)]
            for curve in drawn:
                axes.plot(curve[:, 0], curve[:, 1], color=f"C{number}", alpha=0.25, linewidth=0.8)
            if drawn:
                axes.plot(*_mean(drawn), color=f"C{number}", linewidth=2.0, label=method)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    grid.flat[0].legend(fontsize=8)
    for unused in list(grid.flat)[len(panels) :]:
        unused.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path)


def _mean(curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of curves where all of them are known."""
    first, last = max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves)
    x = np.linspace(first, max(first, last), 100)
    return x, np.mean([np.interp(x, curve[:, 0], curve[:, 1]) for curve in curves], axis=0)
