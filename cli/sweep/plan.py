"""Plans the runs of a sweep: each variant with each seed, and the progress of each run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from algorithms import ConfigError
from cli.app import planned
from cli.given.places import config_path
from cli.given.settings import config_files, flags, is_set, merged
from cli.run_record.closing import without_ckpt_path
from cli.run_record.folders import runs_named
from cli.run_record.kept_run import Place
from cli.run_record.names import SILENT, flags_that_matter
from run_records import RunRecord
from run_records.record import FINISHED, RUNNING

PLAIN = ""
"""The variant without any overlay."""

# Checkpoints are switched on, so that a stopped run can continue even if the config saves none.
_SAVING = ("--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint")
_OF_THE_SWEEP = {
    "seed_everything": "--seeds sets it for each run",
    "ckpt_path": "each run that was stopped goes on from its own checkpoint",
    "print_config": "--dry_run prints the commands",
    "trainer.logger.version": "each run has a name of its own",
}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    arguments: tuple[str, ...]
    """The command line behind ``train.py``, without ``--ckpt_path``."""

    place: Place
    variant: str = PLAIN

    @property
    def name(self) -> str:
        """Name of the run, before a number is added to its folder."""
        return str(self.place.name)

    def record(self) -> RunRecord | None:
        """Return the record of this command's newest run; None without one. Output folders do not matter."""
        same = [r for r in runs_named(self.place.parent, self.place.name) if _settings(r.arguments) == self._settings]
        return next((r for r in same if r.status in (FINISHED, RUNNING)), same[0] if same else None)

    def command(self) -> list[str]:
        """Return the command line that starts the run or continues it from its last checkpoint."""
        newest = runs_named(self.place.parent, self.place.name)[:1]
        # ``last`` means the newest run of the name, which may be a run of another length.
        goes_on = newest and newest[0].status != FINISHED and _settings(newest[0].arguments) == self._settings
        return [*self.arguments, *(["--ckpt_path=last"] if goes_on else [])]

    @property
    def _settings(self) -> dict[str, str]:
        return _settings(self.arguments)


def plan(
    configs: Sequence[str], variants: Sequence[str], seeds: Sequence[int], shared: Sequence[str]
) -> list[PlannedRun]:
    """Return the runs, all variants of one seed before the next seed, after the parser has accepted every variant.

    Args:
        configs: the config files below the overlays.
        variants: overlays, several of one variant joined by ``+``; ``PLAIN`` is the variant without overlay.
        seeds: values of ``seed_everything``.
        shared: flags of every run.

    Raises:
        ConfigError: for a variant that the parser or an overlay's first line refuses, and for flags that a sweep sets
            itself.
    """
    for flag in flags(shared):
        for key, reason in _OF_THE_SWEEP.items():
            if is_set(flag.content, key):
                raise ConfigError(f"{flag.source} cannot be set for all runs of a sweep: {reason}.")
    below = [argument for config in configs for argument in ("--config", config)]
    # Every variant is parsed once, with the first seed: its other seeds have the same keys.
    places: dict[str, Place] = {}
    lines: dict[str, list[str]] = {}
    for variant in variants:
        overlays = [argument for file in overlay_files(variant) for argument in ("--config", file)]
        line = ["fit", *below, *overlays, *shared]
        lines[variant] = [*line, *([] if _saves(line) else _SAVING)]
        places[variant] = planned([*lines[variant], "--seed_everything", str(seeds[0])])
    return [
        PlannedRun((*lines[v], "--seed_everything", str(seed)), _with_seed(places[v], seed), v)
        for seed in seeds
        for v in variants
    ]


def overlay_files(variant: str) -> list[str]:
    """Return the files of a variant, from the current directory or from the project.

    Raises:
        ConfigError: for a file that does not exist.
    """
    files = [config_path(file) for file in variant.split("+") if file]
    for file in files:
        if not Path(file).is_file():
            what = (
                "is a folder, and an overlay is a file"
                if Path(file).is_dir()
                else "there is no such file, here or in the project"
            )
            raise ConfigError(f"--overlays {file}: {what}.")
    return files


def _with_seed(place: Place, seed: int) -> Place:
    return replace(place, name=replace(place.name, seed=seed))


def _saves(line: Sequence[str]) -> bool:
    """Return whether a command line sets whether checkpoints are saved."""
    given = [*config_files(line), *flags(line)]
    is_told = any(is_set(flag.content, "trainer.enable_checkpointing") for flag in flags(line))
    return is_told or bool((merged(given).get("callbacks") or {}).get("checkpoint"))


def _settings(arguments: Sequence[str]) -> dict[str, str]:
    """Return the flags that two runs of one name must share to be the same run, including the flags for its length."""
    return flags_that_matter(flags(without_ckpt_path(arguments)), neutral=SILENT)
