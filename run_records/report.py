"""Writes a comparison to files: ``table.md``, ``table.json``, ``curves.png`` and ``curves.svg``."""

import json
from pathlib import Path

from run_records.curves import read_curves
from run_records.figures import draw_panels
from run_records.table import Comparison
from storage import whole_file


def write_report(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the tables, and one panel for each compared metric that was logged more than once in a run.

    Args:
        comparison: comparison from ``compare``.
        folder: folder of the report; files of an earlier report are replaced.

    Returns:
        The files.
    """
    files = [folder / "table.md", folder / "table.json"]
    texts = (comparison.markdown(), json.dumps(comparison.as_dict(), indent=1, allow_nan=False) + "\n")
    for file, text in zip(files, texts, strict=True):
        with whole_file(file) as draft:
            draft.write_text(text, encoding="utf-8")
    panels = curve_panels(comparison)
    return [*files, *(draw_panels(panels, folder / "curves.png") if panels else [])]


def curve_panels(comparison: Comparison) -> dict[str, dict[str, list[list[tuple[float, float]]]]]:
    """Return the curves over optimizer steps of each metric, title and seed; metrics without any curve are left out."""
    panels: dict[str, dict[str, list[list[tuple[float, float]]]]] = {metric: {} for metric in comparison.metrics}
    for title, by_seed in comparison.runs.items():
        trained = [record for records in by_seed.values() for record in records if record.command == "fit"]
        for logged in (read_curves(record.folder, comparison.metrics) for record in trained):
            for metric, curve in logged.items():
                if len(curve) > 1:
                    points = [(float(point.step), point.value) for point in curve]
                    panels[metric].setdefault(title, []).append(points)
    return {f"{metric} over optimizer steps": curves for metric, curves in panels.items() if curves}
