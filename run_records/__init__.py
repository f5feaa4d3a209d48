"""Reads and compares finished runs: ``run.json``, logged curves, tables with intervals, figures with bands."""

from run_records.curves import Curve, read_curves
from run_records.figures import COLORS, draw_on, draw_panels, new_figure, save_figure
from run_records.intervals import Interval, difference, mean_interval
from run_records.record import FILE_NAME, Attempt, RunRecord, read_record
from run_records.report import write_report
from run_records.table import Comparison, compare

__all__ = [
    "COLORS",
    "FILE_NAME",
    "Attempt",
    "Comparison",
    "Curve",
    "Interval",
    "RunRecord",
    "compare",
    "difference",
    "draw_on",
    "draw_panels",
    "mean_interval",
    "new_figure",
    "read_curves",
    "read_record",
    "save_figure",
    "write_report",
]
