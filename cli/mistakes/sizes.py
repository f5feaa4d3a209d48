"""Sizes that do not fit each other, found in the objects of a run before anything is sampled."""

import logging

import lightning.pytorch as L

from algorithms import ConfigError
from datamodules import ExperienceDataModule
from datamodules.experience import check_enough_rows
from lightning_modules import GRPOModule

logger = logging.getLogger(__name__)


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
