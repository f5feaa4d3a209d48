"""Runs of a sweep that need not start: another one was refused before its first step, for a reason that they share."""

from collections.abc import Sequence

from cli.sweep.plan import PLAIN, PlannedRun
from cli.sweep.side_by_side import Ended

REFUSED = 2
"""Status of a command that is refused for its settings or its data."""

_SIGNALS = 128  # statuses from here on, and those below 0, are a signal's


class Refusals:
    """What runs were refused for.

    A refused config without an overlay speaks for all runs, since every overlay lies over it. A refused overlay speaks
    for its other seeds; two overlays with one reason speak for all runs. An error with a traceback needs two as well.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, dict[str, str]] = {}
        """By reason, the name of the first run of each variant that has failed for it."""

        self._refused: dict[str, str] = {}
        """By variant that was refused, the name of its first run."""

        self.skipped: dict[str, list[str]] = {}
        """By name of the run that failed, the runs that were not started after it."""

    def add(self, run: PlannedRun, ended: Ended) -> None:
        """Note a run that has ended, if it failed before its first step."""
        record = run.record()
        if not 0 < ended.status < _SIGNALS or (record is not None and record.step):
            return
        self._reasons.setdefault(reason_of(ended), {}).setdefault(run.variant, run.name)
        if ended.status == REFUSED:
            self._refused.setdefault(run.variant, run.name)

    def is_wanted(self, run: PlannedRun) -> bool:
        """Return whether a run may start; note it where it may not."""
        culprit = self._refused.get(PLAIN) or self._refused.get(run.variant) or self._of_several()
        if culprit is not None:
            self.skipped.setdefault(culprit, []).append(run.name)
        return culprit is None

    def _of_several(self) -> str | None:
        found = (list(names.values())[-1] for names in self._reasons.values() if len(names) > 1)
        return next(found, None)


def reason_of(ended: Ended) -> str:
    """Return the line of a run's log that says why it has failed."""
    return told_lines(ended, 1)[-1]


def told_lines(ended: Ended, number: int) -> Sequence[str]:
    """Return the last error of one line in a run's log, else its last lines.

    Args:
        ended: the run.
        number: of lines where there is no such error; fewer where the log is shorter.
    """
    lines = [line for line in ended.job.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1:] or lines[-number:] or ["it has printed nothing"]
