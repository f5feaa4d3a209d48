"""The command line of ``train.py sweep``."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from algorithms import ConfigError
from cli.given.arguments import OneLineArguments
from cli.given.places import config_path
from cli.keys.nearest import nearest
from cli.sweep.plan import PLAIN
from cli.sweep.side_by_side import cores

DESCRIPTION = "Runs a config with several overlays and seeds, each as a fit of its own, and compares what came out."
EPILOG = """\
Further flags are given to every run: --trainer.max_steps=100, --trainer.logger.save_dir=DIR, ...

  python train.py sweep --config configs/tiny/grpo.yaml --baseline --seeds 0 1 2 \\
      --overlays configs/ablations/replay/no_ssb.yaml configs/ablations/replay/uniform_replay.yaml

A sweep that was stopped goes on with the same command: finished runs stay, stopped ones go on from their last
checkpoint. The table and the figure are written whenever a sweep ends.
"""


@dataclass(frozen=True)
class SweepOptions:
    """The options of a sweep."""

    configs: Sequence[str]
    variants: Sequence[str]
    """Overlays, several of one variant joined by ``+``; the baseline first."""

    baseline: str | None
    seeds: Sequence[int]
    jobs: int
    threads: int
    """Threads of each run."""

    shared: Sequence[str]
    """Flags of every run."""

    dry_run: bool = False
    slurm: Path | None = None
    out: Path | None = None


def read_options(arguments: Sequence[str]) -> SweepOptions:
    """Return the options of a command line.

    Raises:
        ConfigError: for an option that is missing, unknown or out of bounds.
    """
    found, shared = _parser().parse_known_args(list(arguments))
    _check_flags(shared)
    if len(set(found.seeds)) < len(found.seeds):
        raise ConfigError(f"--seeds {' '.join(map(str, found.seeds))}: a seed is named twice.")
    overlays: list[str] = list(dict.fromkeys(found.overlays))
    baseline = _baseline(found.baseline, overlays)
    first: list[str] = [] if baseline is None else [baseline]
    variants = list(dict.fromkeys([*first, *overlays])) or [PLAIN]
    for name, value in (("jobs", found.jobs), ("cores", found.cores)):
        if value < 1:
            raise ConfigError(f"--{name} must be at least 1, got {value}.")
    if found.jobs > found.cores:
        raise ConfigError(
            f"--jobs {found.jobs} is more than the {found.cores} cores there are: runs would slow each other down; "
            "--cores says how many the sweep may use."
        )
    return SweepOptions(
        configs=found.config,
        variants=variants,
        baseline=baseline,
        seeds=found.seeds,
        jobs=found.jobs,
        threads=found.cores // found.jobs,
        shared=shared,
        dry_run=found.dry_run,
        slurm=found.slurm,
        out=found.out,
    )


def _parser() -> argparse.ArgumentParser:
    parser = OneLineArguments(
        "python train.py sweep", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--config", action="append", required=True, help="the config below; several are laid over each other")
    add("--overlays", nargs="+", default=[], metavar="FILE", help="one variant each; A.yaml+B.yaml is one variant")
    add("--seeds", nargs="+", type=int, default=[0], help="seeds of everything (seed_everything); default: 0")
    add("--baseline", nargs="?", const=PLAIN, help="run and compare with: the plain config, or one of the overlays")
    add("--jobs", type=int, default=1, help="runs side by side; default: 1")
    add("--cores", type=int, default=cores(), help="cores that all runs share; default: those of this process")
    add("--dry_run", action="store_true", help="print the commands and how far each run is")
    add("--slurm", type=Path, metavar="FILE", help="write a job array of the runs that are left, and run nothing")
    add("--out", type=Path, metavar="DIR", help="for logs, table and figure; default: sweeps/ beside the runs")
    return parser


def _baseline(named: str | None, overlays: Sequence[str]) -> str | None:
    """Return the variant that is the baseline; the name of an overlay's file is enough to name it."""
    if named is None or named == PLAIN or named in overlays or Path(config_path(named)).is_file():
        return named
    found = [overlay for overlay in overlays if Path(overlay).stem == named]
    if len(found) != 1:
        known = ", ".join(Path(overlay).stem for overlay in overlays) or "none"
        raise ConfigError(
            f"--baseline {named} is neither a file nor one of the overlays ({known}); without a value it is the "
            "config without overlays."
        )
    return found[0]


def _check_flags(shared: Sequence[str]) -> None:
    """Refuse words that belong to no flag, and mistyped options of the sweep."""
    options = [option for action in _parser()._actions for option in action.option_strings]
    for word in shared:
        name = word.partition("=")[0]
        # Keys of a config have a dot. Two of them have none, and are not similar enough to an option.
        if word.startswith("--") and "." not in name and (meant := nearest(name, options, least=0.8)):
            raise ConfigError(f"sweep: {name} is no option: did you mean {meant}?")
    for position, word in enumerate(shared):
        before = shared[position - 1] if position else ""
        is_value = before.startswith("--") and "=" not in before
        if not word.startswith("--") and not is_value:
            raise ConfigError(f"sweep: {word} belongs to no flag; overlays follow --overlays, flags are --KEY=VALUE.")
