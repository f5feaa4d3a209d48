"""``train.py compare``: runs in a table with intervals over seeds and differences to a baseline, and a figure."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cli.given.arguments import OneLineArguments
from cli.given.places import writes_to
from run_records import compare, write_report
from storage import check_writable


def main(arguments: Sequence[str]) -> int:
    """Read the runs, print the table, write the files, and return the status."""
    parser = OneLineArguments("python train.py compare", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("runs", nargs="+", type=Path, help="folders of runs, or folders that hold some")
    add("--baseline", help="name of the runs to compare with, without the seed: grpo, or the end of it, as no_ssb")
    add("--metric", action="append", help="a logged metric; may be given several times")
    add("--out", type=Path, default=Path("runs/comparison"), help="for table.md, table.json, curves.png, curves.svg")
    options = parser.parse_args(list(arguments))
    with writes_to("--out", options.out):
        check_writable(options.out)
    comparison = compare(options.runs, baseline=options.baseline, metrics=options.metric)
    Console(highlight=False, soft_wrap=True).print(comparison.markdown(), markup=False)
    files = write_report(comparison, options.out)
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"written: {', '.join(map(str, files))}")
    return 0
