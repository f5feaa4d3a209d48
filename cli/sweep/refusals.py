"""Finds runs of a sweep that need not start, because another run failed before its first step for the same reason."""

from collections.abc import Sequence

from cli.sweep.plan import PLAIN, PlannedRun
from cli.sweep.side_by_side import Ended

REFUSED = 2
"""Status of a command that is refused for its settings or its data."""

_SIGNALS = 128  # statuses from 128 on, and negative ones, come from a signal


class Refusals:
    """The reasons for which runs failed before their first step.

    When the config without overlay is refused, all runs would be, because every overlay lies over it. When an overlay
    is refused, its other seeds would be too. When two overlays are refused for one reason, all runs would be. An error
    with a traceback must also occur with two variants.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, dict[str, str]] = {}
        """Reason -> variant -> name of the variant's first run that failed for this reason."""

        self._refused: dict[str, str] = {}
        """Refused variant -> name of its first run."""

        self.skipped: dict[str, list[str]] = {}
        """Name of a failed run -> runs that were not started because of it."""

    def add(self, run: PlannedRun, ended: Ended) -> None:
        """Record a run that has ended, if it failed before its first step."""
        record = run.record()
        if not 0 < ended.status < _SIGNALS or (record is not None and record.step):
            return
        self._reasons.setdefault(reason_of(ended), {}).setdefault(run.variant, run.name)
        if ended.status == REFUSED:
            self._refused.setdefault(run.variant, run.name)

    def is_wanted(self, run: PlannedRun) -> bool:
        """Return whether a run may start; record the run if it may not."""
        culprit = self._refused.get(PLAIN) or self._refused.get(run.variant) or self._of_several()
        if culprit is not None:
            self.skipped.setdefault(culprit, []).append(run.name)
        return culprit is None

    def _of_several(self) -> str | None:
        found = (list(names.values())[-1] for names in self._reasons.values() if len(names) > 1)
        return next(found, None)


def reason_of(ended: Ended) -> str:
    """Return the line of a run's log with the reason of its failure."""
    return told_lines(ended, 1)[-1]


def told_lines(ended: Ended, number: int) -> Sequence[str]:
    """Return the last error of one line in a run's log, else its last lines.

    Args:
        ended: the run that has ended.
        number: number of last lines when there is no such error; fewer when the log is shorter.
    """
    lines = [line for line in ended.job.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1:] or lines[-number:] or ["it has printed nothing"]
