"""Checks the objects of a run before models are built: sizes that do not fit, folders that cannot be used."""

import logging
from collections.abc import Collection
from pathlib import Path

import lightning.pytorch as L
from jsonargparse import ArgumentParser, Namespace

from algorithms import ConfigError
from callbacks.destination import HasPlaces
from cli.callback_slots import named_callbacks
from cli.mistakes.libraries import check_constructors
from datamodules import ExperienceDataModule
from datamodules.experience import check_enough_rows
from lightning_modules import GRPOModule

logger = logging.getLogger(__name__)

_COMMANDS = ("fit", "validate", "test", "predict")


def check_made(parser: ArgumentParser, config: Namespace, command: str, *, to_build: Collection[Path]) -> None:
    """Create the objects of a config once, and call ``check_places(command)`` of those that have it.

    Args:
        parser: parser that has read the config.
        config: the config, which is not changed.
        command: the subcommand; only commands that run have folders.
        to_build: folders that will be built later; errors about them are ignored.

    Raises:
        ConfigError: from a constructor, or for a folder or file, with key and reason.
        DataError: from a constructor, or for a folder or file.
    """

    def look() -> None:
        made = parser.instantiate_classes(config)[command]
        if command not in _COMMANDS:
            return
        check_sizes(made.model, made.get("data"), command=command, warns=False)
        for part in (made.get("data"), *named_callbacks(made.callbacks.as_dict())):
            if isinstance(part, HasPlaces):
                part.check_places(command)

    check_constructors(look, to_build=to_build)


def check_sizes(
    module: L.LightningModule, data: L.LightningDataModule | None, *, command: str, warns: bool = True
) -> None:
    """Refuse sizes with which a run could not learn, and warn of sizes with hidden costs.

    Args:
        module: the module that is trained.
        data: its data module.
        command: only ``fit`` samples rollouts.
        warns: False when the same sizes are checked again later.

    Raises:
        ConfigError: names both sizes.
    """
    if command != "fit" or not isinstance(module, GRPOModule) or not isinstance(data, ExperienceDataModule):
        return
    if module.sampling.temperature == 0:
        raise ConfigError(
            "model.sampling.temperature must be above 0 in training, got 0: all completions of a prompt would be the "
            "same one, and a group of equal rewards teaches nothing."
        )
    group_size, prompts, parts = module.sampling.group_size, data.prompts_per_rollout, data.micro_batches
    samples = prompts * group_size
    max_rows = getattr(module.engine, "max_rows", None)
    if max_rows is not None and max_rows < group_size:
        raise ConfigError(
            f"model.engine.max_rows must be at least model.sampling.group_size, got {max_rows} and {group_size}: the "
            "completions of one prompt are sampled together."
        )
    rows = getattr(data.source, "num_rows", {}).get("train")
    if rows is not None:
        check_enough_rows(prompts, rows)
    if parts > samples:
        raise ConfigError(
            f"data.micro_batches must be at most the samples of a rollout, data.prompts_per_rollout x "
            f"model.sampling.group_size = {samples}, got {parts}: the others would be empty."
        )
    if warns and samples % parts:
        logger.warning(
            "data.micro_batches is %d, and the %d samples of a rollout do not divide by it: parts differ by one.",
            parts,
            samples,
        )
