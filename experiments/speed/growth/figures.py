"""One figure for each kind of training: processor seconds of a step above, memory below, one column for each axis."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from experiments.speed.growth.cells import AXES, MIDDLE, Cell, Kind
from experiments.speed.growth.measured_cells import MeasuredCell
from experiments.speed.growth.sides import SIDES, Side
from experiments.speed.subjects import MODELS
from run_records import COLORS, new_figure, save_figure

# The lines differ in marker and dash too, for readers who cannot tell the colours apart.
_STYLES: Mapping[Side, tuple[str, str, str]] = {"ours": ("here", COLORS[0], "o-"), "trl": ("TRL", COLORS[1], "s--")}
_TITLES = {
    "model": "parameters",
    "prompt": "tokens of a prompt",
    "group": "completions of a prompt",
    "answer": "tokens of a completion",
}


def draw(measured: Mapping[str, MeasuredCell], folder: Path) -> list[Path]:
    """Draw one figure for each kind with a measured cell, and return the PNG files."""
    kinds: list[Kind] = [kind for kind in AXES if any(cell.cell.kind == kind for cell in measured.values())]
    return [_draw_kind(kind, measured, folder / f"{kind}.png") for kind in kinds]


def _draw_kind(kind: Kind, measured: Mapping[str, MeasuredCell], path: Path) -> Path:
    axes = [axis for axis in AXES[kind] if axis in _TITLES]
    figure = new_figure()
    figure.set_size_inches(3.4 * len(axes), 6.4)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(2, len(axes), squeeze=False, sharex="col")
    for column, axis in enumerate(axes):
        for row in range(2):
            _draw_panel(grid[row][column], axis, _on_axis(kind, axis, measured), is_memory=bool(row))
            places = [_place(replace(MIDDLE[kind], **{axis: value}), axis) for value in AXES[kind][axis]]
            labels = [value if axis == "model" else f"{value:,}" for value in AXES[kind][axis]]
            grid[row][column].set_xticks(places, labels)
            grid[row][column].xaxis.set_minor_locator(NullLocator())
        grid[1][column].set_xlabel(_TITLES[axis])
    grid[0][0].set_ylabel("processor seconds of a step")
    grid[1][0].set_ylabel("peak of memory, GiB above idle")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return save_figure(figure, path)[0]


def _on_axis(kind: Kind, axis: str, measured: Mapping[str, MeasuredCell]) -> dict[str, list[MeasuredCell]]:
    """Return the curves of an axis by name of the line: recomputed, and kept where that was measured."""
    middle = MIDDLE[kind]

    def cells(start: Cell) -> list[MeasuredCell]:
        names = [replace(start, **{axis: value}).name for value in AXES[kind][axis]]
        return [measured[name] for name in names if name in measured]

    return {"recomputed": cells(middle), "kept": cells(replace(middle, recompute=False))}


def _draw_panel(axes: Axes, axis: str, lines: Mapping[str, Iterable[MeasuredCell]], *, is_memory: bool) -> None:
    for line, cells in lines.items():
        for side in SIDES:
            name, color, style = _STYLES[side]
            points = [(_place(cell.cell, axis), _height(cell, side, is_memory=is_memory)) for cell in cells]
            shown = [(x, y) for x, y in points if y is not None]
            # Activations that are kept: hollow, as only the middle has them.
            inside = color if line == "recomputed" else "white"
            x, y = zip(*shown, strict=True) if shown else ((), ())
            label = f"{name}, activations {line}"
            axes.plot(x, y, style, color=color, markerfacecolor=inside, markersize=6, linewidth=1.6, label=label)
    axes.set_xscale("log")
    if is_memory:
        axes.set_ylim(bottom=0.0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)


def _place(cell: Cell, axis: str) -> float:
    return MODELS[cell.model].parameters if axis == "model" else float(getattr(cell, axis))


def _height(cell: MeasuredCell, side: Side, *, is_memory: bool) -> float | None:
    return cell.gibibytes(side) if is_memory else cell.value(side, "processor_step")
