"""The parser and runner of ``train.py``: LightningCLI with overlays that merge, and errors of one sentence."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

# Fast tokenizers start threads and then warn at every fork. This must be set before transformers is imported.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from jsonargparse import set_parsing_settings
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from omegaconf.errors import OmegaConfBaseException

import callbacks
import datamodules
import lightning_modules
import models
import rewards
import rollouts
from algorithms import ConfigError, DataError
from callbacks import RolloutProgressBar
from cli.built import build_missing, missing, register
from cli.callback_slots import KNOWN_SLOTS, named_callbacks, slot_names
from cli.ckpt_path import check_ckpt_path, check_run, resolved
from cli.given.null_flags import in_dictionaries
from cli.given.reward_overlays import with_merged_parts
from cli.given.swapped_classes import take_nothing_over
from cli.inspection.command import INSPECT, InspectingTrainer
from cli.mistakes.check import CommandLine, checked
from cli.mistakes.hardware import check_hardware
from cli.mistakes.libraries import raise_first_cause, setup_errors
from cli.mistakes.monitors import warn_of_monitors
from cli.mistakes.objects import check_made, check_sizes
from cli.mistakes.parser_messages import interpolation_in_one_line
from cli.one_line_parser import OneLineParser
from cli.quiet import quiet
from cli.results import results
from cli.run_record.kept_run import GivenLine, KeptRun, Place, check_places, place
from cli.run_record.recorded import RunEnding
from cli.stop_signals import Stopped, StopSignal, newest_checkpoint, stop_status
from cli.strategies import check_strategy
from lightning_modules import TrainingDiverged
from lightning_modules.identity import RunIdentity

# Importing a package makes its classes known by their short names in configs.
PACKAGES = (callbacks, datamodules, lightning_modules, models, rewards, rollouts)
SUBCOMMANDS = ("fit", "validate", "test", "predict")
# Methods of the trainer, each with the arguments that the command line itself gives.
METHODS = {name: LightningCLI.subcommands()[name] for name in SUBCOMMANDS} | INSPECT
# Commands that Lightning does not have, and the module of each. Imported late, because these modules import this file.
OWN_COMMANDS = {"new": "cli.new_run.command", "sweep": "cli.sweep.command", "compare": "cli.compare"}


class TrainCLI(LightningCLI):
    """LightningCLI with callbacks by name, models that are built on first use, and a folder for every run."""

    slots: Sequence[str] = KNOWN_SLOTS
    command_line: CommandLine
    line: GivenLine = GivenLine()
    ending: RunEnding = RunEnding()
    is_build: bool = False
    """Whether this command builds a model on first use."""

    plans: bool = False
    """Whether to parse and check only, and then raise ``_Planned``."""

    only_builds: bool = False
    """Whether to build only the models that the config starts from, and then raise ``_Built``."""

    prints_results: bool = False
    """Whether validation and test print their metrics at the end."""

    kept: KeptRun | None = None
    shown_config: str = ""
    """The resolved config as YAML."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add one argument per callback name."""
        for name in type(self).slots:
            parser.add_argument(
                f"--callbacks.{name}", type=Callback | None, default=None, help=f"Callback {name}; null is off."
            )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; a broken interpolation is an error of one line."""
        try:
            super().parse_arguments(parser, args)
        except OmegaConfBaseException as error:
            parser.error(interpolation_in_one_line(error, self.command_line.known))

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand in INSPECT:
            return kwargs
        source = self.kept.folder.source if self.kept else None
        kwargs["ckpt_path"] = resolved(kwargs.get("ckpt_path"), self.trainer, source)
        check_run(kwargs["ckpt_path"], self.trainer, self.model, self.datamodule, command=subcommand)
        # With null Lightning decides, and lets some checkpoints run code.
        kwargs["weights_only"] = True
        if subcommand in ("validate", "test"):
            # Lightning's table has numbers of fourteen digits.
            self.prints_results = kwargs.get("verbose", True)
            kwargs["verbose"] = False
        # A callback writes the predictions to a file; in memory they would grow with the data.
        return {**kwargs, "return_predictions": False} if subcommand == "predict" else kwargs

    def _run_subcommand(self, subcommand: str) -> None:
        # The folder is locked before the checkpoint is chosen, because a run that still goes on may be writing one.
        kept = self.kept.open(self.trainer, self.shown_config, self.ending) if self.kept else nullcontext()
        with kept, stop_status(self.trainer, subcommand, building=self._building if self.is_build else None):
            try:
                super()._run_subcommand(subcommand)
                if self.prints_results and self.trainer.is_global_zero:
                    sys.stdout.write(results(self.trainer.callback_metrics))
            except TrainingDiverged as error:
                newest = newest_checkpoint(self.trainer)
                kept_file = f"The newest checkpoint, {newest}, is intact." if newest else "There is no checkpoint."
                raise TrainingDiverged(f"{error} {kept_file}") from None

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would silently let hyper-parameters in a checkpoint override the config."""

    def before_instantiate_classes(self) -> None:
        """Build the models that the config refers to, then seed again; find the run's folder."""
        if not self.subcommand:
            return
        section = self.config[self.subcommand]
        if self.plans:
            check_made(self.parser, self.config, self.subcommand, to_build=missing())
            raise _Planned(place(section, self.line))
        # Checks that need no model come first, because building a model takes minutes.
        check_hardware(section.trainer.as_dict())
        check_ckpt_path(section.get("ckpt_path"))
        check_places(section, self.line, inspects=self.subcommand in INSPECT)
        warn_of_monitors(self.command_line.config)
        if to_build := missing():
            check_made(self.parser, self.config, self.subcommand, to_build=to_build)
        # A build is a run in this process and has used the global random state, so it is seeded again.
        if build_missing(partial(run, is_build=True)):
            self._set_seed()
        if self.only_builds:
            raise _Built
        if self.subcommand in INSPECT:  # It writes one page and is no run.
            return
        # Shown before the folder is set: a run that starts from the saved config must get a folder of its own.
        self.shown_config = self._parser(self.subcommand).dump(section, skip_none=False)
        self.kept = KeptRun(section, self.line, self.subcommand, is_build=self.is_build)

    def instantiate_classes(self) -> None:
        """Instantiate; a wrong setting that a constructor finds is an error of one line."""
        try:
            with setup_errors(type(self).command_line):
                super().instantiate_classes()
            if self.subcommand:
                check_sizes(self.model, self.datamodule, command=self.subcommand)
        except BaseException:
            if self.kept:
                self.kept.discard()
            raise

    @property
    def _building(self) -> str:
        return f"Building {Path(self.line.files[0].source).stem}"

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        check_strategy(config)
        named = named_callbacks(self._get(self.config_init, "callbacks").as_dict())
        every = [StopSignal(), RunIdentity(), *named, *callbacks]
        # Lightning's own progress bar would show the last letters of the run's name as its version.
        if config.get("enable_progress_bar") is not False and not any(isinstance(c, ProgressBar) for c in every):
            every.append(RolloutProgressBar())
        for bar in every:
            if self.is_build and isinstance(bar, RolloutProgressBar):
                bar.title = self._building
        return super()._instantiate_trainer(config, every)


class _Planned(Exception):
    """Raised at the end of a command that is only parsed."""

    def __init__(self, where: Place) -> None:
        super().__init__()
        self.where = where


class _Built(Exception):
    """Raised at the end of a command that only builds the models it starts from."""


def run(arguments: Sequence[str], *, ending: RunEnding | None = None, is_build: bool = False) -> TrainCLI:
    """Run one command and return its ``TrainCLI``.

    Args:
        arguments: the command line behind ``train.py``.
        ending: filled with the facts for the closing lines when the run has ended.
        is_build: True for a model that is built on first use.

    Raises:
        ConfigError: for wrong settings.
        DataError: for data that cannot be used.
        TrainingDiverged: when loss, gradient or weights are no longer finite.
    """
    return _parse_and_run(arguments, ending=ending or RunEnding(), is_build=is_build)


def planned(arguments: Sequence[str]) -> Place:
    """Parse and check a command, and return name and place of its run; no file is written and nothing is run."""
    try:
        _parse_and_run(arguments, plans=True)
    except _Planned as end:
        return end.where
    raise ConfigError(f"{' '.join(arguments)} runs nothing.")


def build(arguments: Sequence[str]) -> None:
    """Build the missing models that a command starts from, without running the command.

    Args:
        arguments: the command line behind ``train.py``.

    Raises:
        ConfigError: for wrong settings.
    """
    with suppress(_Built):
        _parse_and_run(arguments, only_builds=True)


def _parse_and_run(arguments: Sequence[str], **attributes: Any) -> TrainCLI:
    register()
    take_nothing_over()
    quiet(trains=bool(arguments) and arguments[0] == "fit")
    # Checked before the parser, whose errors name neither the file nor the intended key.
    line = checked(in_dictionaries(arguments), (*SUBCOMMANDS, *INSPECT, *OWN_COMMANDS))
    # The parser keeps a config below the subcommand, so ${model.x} must be resolved as fit.model.x. Help has pages of
    # its own; finding the meanings of settings would take a third of the time of parsing.
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True, docstring_parse_attribute_docstrings=False)
    try:
        # Each run has a class of its own, because LightningCLI parses in its constructor and a nested run has other
        # slots.
        attributes |= {"slots": slot_names([*line.files, *line.flags]), "command_line": line}
        # Building the parsers of the other commands would take most of the start-up time.
        attributes["subcommands"] = staticmethod(lambda: {line.arguments[0]: METHODS[line.arguments[0]]})
        attributes |= {"line": GivenLine(arguments, line.files, line.flags)}
        cli_class = type("TrainCLI", (TrainCLI,), attributes)
        with with_merged_parts(line.arguments, line.files) as merged:
            return cli_class(
                LightningModule,
                LightningDataModule,
                trainer_class=InspectingTrainer,
                subclass_mode_model=True,
                subclass_mode_data=True,
                args=merged,
                parser_class=type("OneLineParser", (OneLineParser,), {"command_line": line}),
                # Otherwise a shortened key would be taken for the full key.
                parser_kwargs={"parser_mode": "omegaconf+", "allow_abbrev": False},
                # The run's record contains the config, so Lightning need not save it.
                save_config_callback=None,
                auto_configure_optimizers=False,
            )
    except (_Planned, _Built):
        raise
    except Exception as error:
        raise_first_cause(error, line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error that a user can repair ends it with one line.

    Exit codes: 2 for wrong settings or data, 1 for a run whose loss, gradient or weights are no longer finite, 128 plus
    its number for a signal (143 for SIGTERM, 130 for Ctrl-C); 1 with a traceback for any other error.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    ending = RunEnding()
    try:
        if arguments and arguments[0] in OWN_COMMANDS:
            raise SystemExit(import_module(OWN_COMMANDS[arguments[0]]).main(arguments[1:]))
        run(arguments, ending=ending)
    except KeyboardInterrupt:
        # For signals before and after training; the trainer handles signals itself.
        sys.stderr.write("stopped by SIGINT\n")
        raise Stopped(signal.SIGINT) from None
    except (ConfigError, DataError) as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    except TrainingDiverged as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
    finally:
        sys.stderr.writelines(f"{line}\n" for line in ending.lines)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
