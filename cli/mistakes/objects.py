"""What the objects of a run tell before anything is built or sampled: sizes that do not fit, places of no use."""

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
    """Make the objects of a config once, and let those look at their places that have ``check_places(command)``.

    Args:
        parser: has read the config.
        config: as read; it stays as it is.
        command: its section; only commands that run have places.
        to_build: folders that do not exist yet: what is said about them does not count.

    Raises:
        ConfigError: as a constructor raises it; or for a place, with key and reason.
        DataError: likewise.
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
    """Refuse sizes with which nothing could be learnt, and warn of those that cost more than they look like.

    Args:
        module: what is trained.
        data: its data.
        command: only ``fit`` samples rollouts.
        warns: False where the same sizes are looked at again later.

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
