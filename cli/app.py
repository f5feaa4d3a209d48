"""The parser and runner of ``train.py``: LightningCLI with overlays that merge, and errors of one sentence."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

# Fast tokenizers start threads and then warn at every fork. Must be set before transformers is imported.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from jsonargparse import set_parsing_settings
from jsonargparse._deprecated import JsonargparseDeprecationWarning
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from omegaconf.errors import OmegaConfBaseException

import callbacks
import datamodules
import lightning_modules
import models
import rewards
import rollouts
from algorithms import ConfigError, DataError
from cli.built import build_missing, missing, register
from cli.callback_slots import KNOWN_SLOTS, named_callbacks, slot_names
from cli.ckpt_path import check_run, resolved
from cli.given.null_flags import in_dictionaries
from cli.given.reward_overlays import with_merged_parts
from cli.mistakes.check import CommandLine, checked
from cli.mistakes.hardware import check_hardware
from cli.mistakes.libraries import check_constructors, raise_first_cause, setup_errors
from cli.mistakes.parser_messages import interpolation_in_one_line
from cli.mistakes.sizes import check_sizes
from cli.run_folders import locked_folders
from cli.stop_signals import Stopped, StopSignal, stop_status
from cli.strategies import check_strategy
from lightning_modules.identity import RunIdentity

# Importing a package makes its classes known by their short names in configs.
PACKAGES = (callbacks, datamodules, lightning_modules, models, rewards, rollouts)
SUBCOMMANDS = ("fit", "validate", "test", "predict")


class OneLineParser(LightningArgumentParser):
    """Prints what is wrong in one line, without the usage."""

    command_line: CommandLine | None = None
    """What is parsed."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Exit with the message, or raise it where a caller has set ``exit_on_error`` to False."""
        if not self.exit_on_error:
            return super().error(message, ex)
        text = self.command_line.in_one_line(message) if self.command_line else message
        sys.stderr.write(f"error: {text}\n(what there is to set: python train.py fit --help)\n")
        raise SystemExit(2)


class TrainCLI(LightningCLI):
    """LightningCLI with callbacks by name and models that are built on first use."""

    slots: Sequence[str] = KNOWN_SLOTS
    command_line: CommandLine

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the trainer methods that are commands."""
        known = LightningCLI.subcommands()
        return {name: known[name] for name in SUBCOMMANDS}

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
        kwargs["ckpt_path"] = resolved(kwargs.get("ckpt_path"), self.trainer)
        check_run(kwargs["ckpt_path"], self.trainer, self.model, self.datamodule, command=subcommand)
        # Null leaves it to Lightning, which lets some checkpoints run code.
        kwargs["weights_only"] = True
        # A callback writes the predictions; kept in memory they would grow with the data.
        return {**kwargs, "return_predictions": False} if subcommand == "predict" else kwargs

    def _run_subcommand(self, subcommand: str) -> None:
        # Before the checkpoint is chosen: a run that is still going may be writing one.
        folders = locked_folders(self.trainer) if subcommand == "fit" else nullcontext()
        with folders, stop_status(self.trainer, subcommand):
            super()._run_subcommand(subcommand)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would let hyper-parameters in a checkpoint override the config in silence."""

    def before_instantiate_classes(self) -> None:
        """Build the models that the config refers to, then seed again."""
        if self.subcommand:
            check_hardware(self._get(self.config, "trainer").as_dict())
            check_constructors(lambda: self.parser.instantiate_classes(self.config), to_build=missing())
        # A build is a run in this process, so it has used the global random state.
        if self.subcommand and build_missing(run):
            self._set_seed()

    def instantiate_classes(self) -> None:
        """Instantiate; a wrong setting that a constructor finds is an error of one line."""
        with setup_errors(type(self).command_line):
            super().instantiate_classes()
        if self.subcommand:
            check_sizes(self.model, self.datamodule, command=self.subcommand)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        check_strategy(config)
        named = named_callbacks(self._get(self.config_init, "callbacks").as_dict())
        return super()._instantiate_trainer(config, [StopSignal(), RunIdentity(), *named, *callbacks])


def run(arguments: Sequence[str]) -> TrainCLI:
    """Run one command and return what was run. Wrong settings raise ``ConfigError`` or ``DataError``."""
    register()
    # The parser keeps a config below the subcommand: ${model.x} must lead to fit.model.x, with overlays and flags.
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True, docstring_parse_attribute_docstrings=True)
    quiet()
    # Before the parser, which names neither the file nor what was meant.
    line = checked(in_dictionaries(arguments), SUBCOMMANDS)
    try:
        # Classes of their own, because LightningCLI parses in its constructor and a nested run has other slots.
        cli_class = type(
            "TrainCLI", (TrainCLI,), {"slots": slot_names([*line.files, *line.flags]), "command_line": line}
        )
        with with_merged_parts(line.arguments, line.files) as merged:
            return cli_class(
                LightningModule,
                LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                args=merged,
                parser_class=type("OneLineParser", (OneLineParser,), {"command_line": line}),
                # A shortened key would be taken for the one that it begins.
                parser_kwargs={"parser_mode": "omegaconf+", "allow_abbrev": False},
                save_config_kwargs={"overwrite": True},
                auto_configure_optimizers=False,
            )
    except Exception as error:
        raise_first_cause(error, line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; wrong settings end it with one line and exit code 2, a signal with the signal's status."""
    try:
        run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        # Before or after the trainer, which handles its own.
        sys.stderr.write("stopped by SIGINT\n")
        raise Stopped(signal.SIGINT) from None
    except (ConfigError, DataError) as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def quiet() -> None:
    """Silence messages that no setting of the user's can remove."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended")
    # Loaders here have no workers: a prompt holds no pixels, so there is nothing to prefetch.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory.*exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    # The warning is about writing into what a layer returns, and no code here does so.
    warnings.filterwarnings("ignore", ".*FSDP2-wrapped module.*returned a view tensor.*")
    if os.environ.get("LOCAL_RANK", "0") != "0":
        logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    # Frozen parts are in eval mode on purpose.
    warnings.filterwarnings("ignore", r".*module\(s\) in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", category=JsonargparseDeprecationWarning)
