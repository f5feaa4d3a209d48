"""``make speed-page``: docs/speed.md and its figures, computed from the cells in the repository alone."""

import os
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.speed.growth.arithmetic import passes
from experiments.speed.growth.cells import MIDDLE, Cell, Kind, differs_in, every_cell
from experiments.speed.growth.figures import draw
from experiments.speed.growth.measured_cells import MeasuredCell, read_all
from experiments.speed.growth.sides import SIDES
from storage import whole_file

STORED = Path("experiments/speed/growth/measured")
PAGE, FIGURES = Path("docs/speed.md"), Path("docs/figures/speed")
_HEADINGS = ("cell", "s here", "s TRL", "ratio", "by arithmetic", "ratio on the wall", "GiB here", "GiB TRL", "load")
_SAMPLING = ("sampling here", "in TRL")


def main() -> None:
    """Write the page and its figures."""
    draw(stored(), FIGURES)
    with whole_file(PAGE) as draft:
        draft.write_text(page(stored()))


def stored() -> dict[str, MeasuredCell]:
    """Return the cells in the repository."""
    return read_all(STORED, every_cell())


def page(measured: Mapping[str, MeasuredCell]) -> str:
    """Return the page in Markdown."""
    missing = [cell.name for cell in every_cell() if cell.name not in measured]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True,
        autoescape=False,
    )  # fmt: skip
    return environment.get_template("speed.md.jinja").render(
        tables={kind: _table(kind, measured) for kind in MIDDLE},
        figures={kind: os.path.relpath(FIGURES / f"{kind}.png", PAGE.parent) for kind in MIDDLE},
        middle={kind: _in_words(cell) for kind, cell in MIDDLE.items()},
        findings=_findings(measured),
        missing=missing,
        folder=STORED,
        **_conditions(measured),
    )


def _table(kind: Kind, measured: Mapping[str, MeasuredCell]) -> str:
    """Return a Markdown table with a row for each cell of a kind; GRPO's also say which share of a step is sampling."""
    cells = [cell for cell in measured.values() if cell.cell.kind == kind]
    shares = [_sampling(cell) if kind == "grpo" else () for cell in cells]
    headings = (*_HEADINGS, *_SAMPLING) if kind == "grpo" else _HEADINGS
    rows = [(*_row(cell), *share) for cell, share in zip(cells, shares, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ("---",) * len(headings), *rows))


def _row(measured: MeasuredCell) -> tuple[str, ...]:
    ours, trl = (measured.value(side, "processor_step") for side in SIDES)
    memory = (measured.gibibytes(side) for side in SIDES)
    return (
        _told(measured.cell), f"{ours:.3g}", f"{trl:.3g}", f"**{measured.ratio():.2f}**",
        f"{passes(measured.cell).ratio:.2f}", f"{measured.ratio('step'):.2f}",
        *("?" if value is None else f"{value:.2f}" for value in memory),
        f"{min(measured.load):.1f} to {max(measured.load):.1f}",
    )  # fmt: skip


def _sampling(measured: MeasuredCell) -> tuple[str, ...]:
    """Return the share of sampling in a step, on the wall, here and in TRL."""
    names = {"ours": "sample", "trl": "generate"}
    return tuple(f"{measured.sides[s]['parts'][names[s]] / measured.value(s, 'step'):.0%}" for s in SIDES)


def _told(cell: Cell) -> str:
    """Return what of a cell is not as in the middle."""
    words = {
        "model": cell.model, "prompt": f"prompts of {cell.prompt:,}", "group": f"groups of {cell.group}",
        "answer": f"answers of {cell.answer}", "recompute": "activations kept",
    }  # fmt: skip
    return ", ".join(word for key, word in words.items() if key in differs_in(cell)) or "the middle"


def _in_words(cell: Cell) -> str:
    told = f"{cell.group} completions of one prompt" if cell.kind == "grpo" else f"{cell.group} pairs"
    return f"{told}, prompts of {cell.prompt} tokens, answers of {cell.answer}, {cell.model} parameters"


def _findings(measured: Mapping[str, MeasuredCell]) -> list[str]:
    """Return a sentence on the largest and smallest ratio of each kind, and on how far the arithmetic is off."""
    sentences: list[str] = []
    for kind in MIDDLE:
        cells = sorted((c for c in measured.values() if c.cell.kind == kind), key=MeasuredCell.ratio)
        if not cells:
            continue
        low, high = cells[0], cells[-1]
        off = [cell.ratio() / passes(cell.cell).ratio for cell in cells]
        sentences.append(
            f"**{kind.upper()}**: a step of TRL takes {low.ratio():.2f} ({_told(low.cell)}) to {high.ratio():.2f} "
            f"({_told(high.cell)}) times the processor seconds of one here. Measured ratios are {min(off):.2f} to "
            f"{max(off):.2f} times the predicted ones."
        )
    return sentences


def _conditions(measured: Mapping[str, MeasuredCell]) -> dict[str, str]:
    cells = list(measured.values())
    versions = {f"{name} {version}" for cell in cells for name, version in cell.versions.items()}
    days = sorted({cell.date for cell in cells})
    return {
        "machines": ", ".join(sorted({cell.machine for cell in cells})),
        "threads": ", ".join(sorted({str(cell.threads) for cell in cells})),
        "versions": ", ".join(sorted(versions)),
        "dates": " to ".join(sorted({*days[:1], *days[-1:]})),
        "minutes": f"{sum(cell.seconds for cell in cells) / 60:.0f}",
    }


if __name__ == "__main__":
    main()
