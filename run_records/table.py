"""Compares runs with several seeds: mean, 95 % interval over seeds, difference to a baseline."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from algorithms import ConfigError, DataError
from run_records.intervals import Interval, difference, mean_interval
from run_records.record import FILE_NAME, FINISHED, RunRecord, read_record

# Metrics that are shown when the user names none, if the runs have logged them: of validation and of test.
_MEASURES = ("greedy_accuracy", "sampled_accuracy", "hallucination_rate", "effective_fraction", "loss")
_STAGES = ("val", "test")

BySeed = Mapping[int | None, float]


@dataclass(frozen=True)
class Comparison:
    """Runs by title and seed, and the metrics that are compared."""

    runs: Mapping[str, Mapping[int | None, Sequence[RunRecord]]]
    """Title -> seed -> the run and its evaluations."""

    metrics: Sequence[str]
    baseline: str | None = None
    """Title with which the others are compared; None: only means are shown."""

    left_out: Mapping[str, str] = field(default_factory=dict)
    """Folder -> reason why its run is left out of the means."""

    def values(self, title: str, metric: str) -> dict[int | None, float]:
        """Return the final value of a metric by seed, for seeds with a finite value."""
        found: dict[int | None, float] = {}
        for seed, records in self.runs[title].items():
            for record in records:
                value = record.metrics.get(metric)
                if value is not None:
                    found[seed] = value
        return found

    def mean(self, title: str, metric: str) -> Interval | None:
        """Return the mean over seeds; None when no seed has a value."""
        values = self.values(title, metric)
        return mean_interval(list(values.values())) if values else None

    def difference(self, title: str, metric: str) -> Interval | None:
        """Return the difference to the baseline; None for the baseline itself, and when one of the two has no value."""
        if self.baseline is None or title == self.baseline:
            return None
        ours, theirs = self.values(title, metric), self.values(self.baseline, metric)
        return difference(ours, theirs) if ours and theirs else None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        rows = [
            {
                "title": title,
                "seeds": list(by_seed),
                "folders": [str(record.folder) for records in by_seed.values() for record in records],
                "seconds": round(sum(r.seconds for records in by_seed.values() for r in records) / len(by_seed), 1),
                "metrics": {metric: self._plain(title, metric) for metric in self.metrics},
            }
            for title, by_seed in self.runs.items()
        ]
        return {"baseline": self.baseline, "rows": rows, "left_out": dict(self.left_out), "notes": self.notes()}

    def notes(self) -> list[str]:
        """Return notes for readers of the table: runs that are left out, values that are missing."""
        notes = [f"{folder} is left out: {reason}." for folder, reason in self.left_out.items()]
        for title, by_seed in self.runs.items():
            steps = sorted({r.step for records in by_seed.values() for r in records if r.command == "fit"})
            # Means over runs of different lengths are shown, but readers must know it.
            if len(steps) > 1:
                notes.append(f"{title}: its runs ended at different steps ({', '.join(map(str, steps))}).")
            for metric in self.metrics:
                if 0 < (known := len(self.values(title, metric))) < len(by_seed):
                    notes.append(f"{title}: {metric} is known of {known} of {len(by_seed)} seeds.")
            if elsewhere := self._started_elsewhere(title):
                notes.append(
                    f"{title}: started from another policy than {self.baseline} with seed "
                    f"{', '.join(map(str, elsewhere))}, so their difference is not only that of what was changed."
                )
        return notes

    def _started_elsewhere(self, title: str) -> list[int | None]:
        """Return the seeds whose run is known to have started from another policy than that of the baseline."""
        if self.baseline is None:
            return []
        ours, theirs = self._starts(title), self._starts(self.baseline)
        return [seed for seed, start in ours.items() if start is not None and theirs.get(seed) not in (None, start)]

    def _starts(self, title: str) -> dict[int | None, str | None]:
        trained = {s: r for s, records in self.runs[title].items() for r in records if r.command == "fit"}
        return {seed: (record.starts_from or {}).get("first_weights") for seed, record in trained.items()}

    def markdown(self) -> str:
        """Return the tables and the notes."""
        parts = [_table(["run", "seeds", *self.metrics], [self._row(title) for title in self.runs])]
        if self.baseline is not None and len(self.runs) > 1:
            others = [title for title in self.runs if title != self.baseline]
            rows = [[t, *(_shown_difference(self.difference(t, metric)) for metric in self.metrics)] for t in others]
            parts.append(_table([f"difference to {self.baseline}", *self.metrics], rows))
        parts.append("± and [ ] are 95 % intervals over seeds.")
        return "\n\n".join([*parts, *self.notes()]) + "\n"

    def _row(self, title: str) -> list[str]:
        means = [_shown_mean(self.mean(title, metric)) for metric in self.metrics]
        return [title, " ".join(str(seed) for seed in self.runs[title]), *means]

    def _plain(self, title: str, metric: str) -> dict[str, Any]:
        mean, change = self.mean(title, metric), self.difference(title, metric)
        return {
            "values": {str(seed): value for seed, value in self.values(title, metric).items()},
            "mean": mean and asdict(mean),
            "difference": change and asdict(change),
        }


def compare(
    folders: Iterable[str | Path], *, baseline: str | None = None, metrics: Sequence[str] | None = None
) -> Comparison:
    """Read runs and compare them.

    Runs with the same title differ in their seeds. Evaluations of a run's checkpoints belong to the run. Unfinished
    runs are left out, and so are older runs with the title and seed of a later run; the comparison names them.

    Args:
        folders: folders of runs, or folders that contain such folders.
        baseline: title of the runs with which others are compared, or the end of this title, such as ``no_ssb``.
        metrics: names of logged metrics; None: accuracies, hallucination rate and loss of validation and test.

    Raises:
        DataError: when a folder holds no run, or no run has finished.
        ConfigError: for a baseline or a metric that no run has.
    """
    records, left_out = _finished(folders)
    runs: dict[str, dict[int | None, list[RunRecord]]] = {}
    # Sorted by seed; runs without a seed come first, because None cannot be compared with a number.
    for record in sorted(records, key=lambda record: (record.seed is not None, record.seed or 0)):
        runs.setdefault(record.title, {}).setdefault(record.seed, []).append(record)
    chosen = None if baseline is None else _title(baseline, list(runs))
    # The baseline comes first, then the other runs by title.
    ordered = {title: runs[title] for title in sorted(runs, key=lambda title: (title != chosen, title))}
    return Comparison(ordered, _metrics(records, metrics), chosen, left_out)


def _finished(folders: Iterable[str | Path]) -> tuple[list[RunRecord], dict[str, str]]:
    """Return the newest finished run of each title, seed and command, and why the others are left out."""
    newest: dict[tuple[str, int | None, str], RunRecord] = {}
    left_out: dict[str, str] = {}
    # A folder that was given twice, also inside of another one, counts once.
    for folder in dict.fromkeys(found for given in folders for found in _run_folders(Path(given))):
        record = read_record(folder)
        assert record is not None
        if record.status != FINISHED:
            left_out[str(folder)] = record.told
            continue
        key = (record.title, record.seed, record.command)
        older = newest.get(key)
        if older is not None:
            older, record = sorted((older, record), key=lambda each: each.attempts[0].started)
            left_out[str(older.folder)] = f"{record.folder} is a later run with its name and seed"
        newest[key] = record
    if not newest:
        found = "; ".join(f"{folder}: {reason}" for folder, reason in left_out.items()) or "no folder was given"
        raise DataError(f"no run has finished, so there is nothing to compare ({found}).")
    return list(newest.values()), left_out


def _run_folders(given: Path) -> list[Path]:
    if (given / FILE_NAME).is_file():
        return [given]
    found = sorted(file.parent for file in given.rglob(FILE_NAME))
    if not found:
        raise DataError(f"{given} is not the folder of a run and holds none: a run's folder has a file {FILE_NAME}.")
    return found


def _title(baseline: str, titles: Sequence[str]) -> str:
    name = Path(baseline).stem if baseline.endswith(".yaml") else Path(baseline).name
    found = [title for title in titles if title == name] or [title for title in titles if title.endswith(f"-{name}")]
    if len(found) != 1:
        problem = f"{len(found)} runs end with it" if found else "no run has this name"
        raise ConfigError(f"--baseline is {baseline}, and {problem}: the names are {', '.join(sorted(titles))}.")
    return found[0]


def _metrics(records: Sequence[RunRecord], named: Sequence[str] | None) -> list[str]:
    logged = sorted({metric for record in records for metric in record.metrics})
    if named is None:
        usual = [f"{stage}/{name}" for stage in _STAGES for name in _MEASURES]
        return [metric for metric in usual if metric in logged] or logged
    for metric in named:
        if metric not in logged:
            near = difflib.get_close_matches(metric, logged, n=3) or logged
            raise ConfigError(f"--metric {metric} is in the record of no run; there are {', '.join(near)}.")
    return list(named)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _shown_mean(interval: Interval | None) -> str:
    if interval is None:
        return "–"  # noqa: RUF001
    if interval.high is None:
        return _number(interval.mean)
    return f"{_number(interval.mean)} ± {_number(interval.high - interval.mean)}"


def _shown_difference(interval: Interval | None) -> str:
    if interval is None:
        return "–"  # noqa: RUF001
    sign = "+" if interval.mean >= 0 else ""
    if interval.low is None or interval.high is None:
        return f"{sign}{_number(interval.mean)}"
    return f"{sign}{_number(interval.mean)} [{_number(interval.low)}, {_number(interval.high)}]"


def _number(value: float) -> str:
    if value == 0 or 0.001 <= abs(value) < 100:
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1e}"
