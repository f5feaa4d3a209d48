"""Rejected rows, and the report that lists them with their reasons."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from storage import whole_file


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row that cannot be used."""

    row: int
    """Position in the file, from 0; blank lines are no rows."""

    key: str
    """The row's own name, or the file's name and the position when it has none."""

    reason: str
    """One of a few fixed phrases, so that rows can be counted by it."""

    detail: str
    """Detail about this row."""


def by_row(rejections: Iterable[Rejection]) -> tuple[Rejection, ...]:
    """Return rejections of several checks in the order of the file."""
    return tuple(sorted(rejections, key=lambda rejection: rejection.row))


def count_reasons(rejections: Sequence[Rejection]) -> dict[str, int]:
    """Count rejections by reason, the most frequent first, equal counts by name."""
    counts = Counter(rejection.reason for rejection in rejections)
    # Counter.most_common would leave equal counts in the order of the rows.
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def describe_reasons(rejections: Sequence[Rejection]) -> str:
    """Return the counts in words: ``3 missing image, 2 empty question``."""
    return ", ".join(f"{count} {reason}" for reason, count in count_reasons(rejections).items())


def summary(rejections: Sequence[Rejection], num_rows: int) -> str:
    """Return one line: ``rejected 5 of 120 rows: 3 missing image, 2 empty question``."""
    line = f"rejected {len(rejections)} of {num_rows} rows"
    return f"{line}: {describe_reasons(rejections)}" if rejections else line


def write_report(path: Path, rejections: Sequence[Rejection], num_rows: int) -> None:
    """Write the rejected rows of a file as JSON, as a whole file or not at all.

    Args:
        path: path of the report; missing folders are created.
        rejections: the rows left out.
        num_rows: number of rows of the file, good and bad.
    """
    report = {
        "num_rows": num_rows,
        "num_kept": num_rows - len(rejections),
        "by_reason": count_reasons(rejections),
        "rejected": [asdict(rejection) for rejection in rejections],
    }
    # A report of an earlier run may be read while this one is written.
    with whole_file(path) as draft:
        draft.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
