"""What runs leave behind, read and compared: ``run.json``, logged curves, tables with intervals, figures with bands."""

from run_records.curves import Curve, read_curves
from run_records.figures import draw_on, draw_panels
from run_records.intervals import Interval, difference, mean_interval
from run_records.record import FILE_NAME, Attempt, RunRecord, read_record
from run_records.report import write_report
from run_records.table import Comparison, compare

__all__ = [
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
    "read_curves",
    "read_record",
    "write_report",
]
