"""Manages one command from its parsed config to its last line: its folder, its record, and how it ended."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import lightning.pytorch as L
from jsonargparse import Namespace

from algorithms import ConfigError
from cli.given.places import writes_to
from cli.given.settings import Settings
from cli.run_record.checkpoint_places import check_saves, given_checkpoint_folders, point_checkpoints_at
from cli.run_record.closing import closing_lines
from cli.run_record.folders import RUNS_KEY, RunFolder, is_first_process, run_folder
from cli.run_record.locks import locked_folders
from cli.run_record.loggers import given_name, keep_csv, point_at, runs_parent
from cli.run_record.names import RunName, run_name
from cli.run_record.recorded import CHECKPOINTS, RunEnding, discard, recorded, started_record
from cli.run_record.starting_policy import starting_policy
from cli.run_record.tensorboard_pages import RunPages
from storage import check_writable

BUILDS = Path("runs/built/runs")
"""Folder for the records of models that were built on first use."""


@dataclass(frozen=True)
class GivenLine:
    """A command line as it was typed, read once."""

    arguments: Sequence[str] = ()
    files: Sequence[Settings] = ()
    flags: Sequence[Settings] = ()


@dataclass(frozen=True)
class Place:
    """The name of a command's run, and the folder that contains it."""

    parent: Path
    name: RunName


def place(section: Namespace, line: GivenLine) -> Place:
    """Return name and folder of a command's run; nothing is created.

    Args:
        section: the parsed config of the command.
        line: the command line.
    """
    seed = section.get("seed_everything")
    is_seeded = isinstance(seed, int) and not isinstance(seed, bool)
    name = run_name(line.files, line.flags, seed=seed if is_seeded else None, given=given_name(section.trainer))
    return Place(runs_parent(section.trainer, line.files), name)


def check_places(section: Namespace, line: GivenLine, *, inspects: bool) -> None:
    """Refuse folders that a command cannot write to, and settings that both switch checkpoints off and save them.

    Args:
        section: the parsed config of the command.
        line: the command line.
        inspects: True for a command that writes one page and is no run.

    Raises:
        ConfigError: names the key and the folder.
    """
    if inspects:
        page = Path(section.page)
        if page.is_dir():
            raise ConfigError(f"page is {page}, which is a folder: give a file, such as {page / 'inspect.html'}.")
        with writes_to("page", page):
            check_writable(page.parent)
        return
    check_saves(section)
    parent = place(section, line).parent
    if is_first_process():
        with writes_to(RUNS_KEY, parent):
            check_writable(parent)


class KeptRun:
    """The folder and the record of one command."""

    def __init__(self, section: Namespace, line: GivenLine, command: str, *, is_build: bool = False) -> None:
        """Claim a new folder, or find the folder of the run that continues, and set it in the config.

        Args:
            section: the parsed config of the command; changed in place.
            line: the command line.
            command: fit, validate, test or predict.
            is_build: True for a model that is built on first use; this is a run of one process, on any rank.

        Raises:
            ConfigError: when ``--ckpt_path=last`` finds no checkpoint.
        """
        self.command, self.line = command, line
        self.saved = given_checkpoint_folders(section)
        self.is_first = is_build or is_first_process()
        where = place(section, line)
        if is_build:
            # Kept apart from the user's runs, so that pages and tables of runs do not show it.
            where = replace(where, parent=BUILDS)
        self.folder: RunFolder = run_folder(
            where.parent, where.name, command=command, ckpt_path=section.get("ckpt_path"), saved=self.saved,
            claims=self.is_first,
        )  # fmt: skip
        point_at(section.trainer, self.folder.path)
        point_checkpoints_at(section, self.folder.path / CHECKPOINTS)

    def discard(self) -> None:
        """Remove a new folder when the command did not run."""
        if self.folder.is_new:
            discard(self.folder.path)

    @contextmanager
    def open(self, trainer: L.Trainer, config: str, ending: RunEnding) -> Iterator[None]:
        """Lock the folder and keep the record while the context is open. Ranks after the first do nothing.

        Args:
            trainer: not started yet.
            config: the resolved config as YAML.
            ending: filled when the run has ended.

        Raises:
            ConfigError: when another process writes to one of the run's folders.
        """
        if not (self.is_first and trainer.is_global_zero):
            yield
            return
        start = starting_policy(config, BUILDS) if self.command == "fit" else None
        record = started_record(self.folder, self.command, self.line.arguments, start)
        with ExitStack() as locks:
            try:
                locks.enter_context(locked_folders(trainer, self.folder.path, self.command))
            except BaseException:
                self.discard()
                raise
            if not self.folder.is_new:
                keep_csv(self.folder.path)
            if self.command == "fit":
                trainer.callbacks.insert(0, RunPages(record, config))  # pyright: ignore[reportAttributeAccessIssue]
            try:
                with recorded(record, config, trainer, ending):
                    yield
            finally:
                ending.lines = closing_lines(ending.record, self.saved) if ending.record is not None else []
