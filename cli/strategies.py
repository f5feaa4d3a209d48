"""Refuses uses of strategies that would fail later, before processes start."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.strategies import FSDPStrategy

from algorithms import ConfigError

_INSTEAD = "use FSDP2: --config configs/hardware/fsdp2.yaml, or cpu2.yaml on CPUs."


def check_strategy(trainer: Mapping[str, Any]) -> None:
    """Refuse FSDP1 where Lightning would fail later, with an error that names no alternative.

    Args:
        trainer: the config's section ``trainer``.

    Raises:
        ConfigError: for FSDP1 on CPUs or with gradient clipping by norm.
    """
    strategy = trainer.get("strategy")
    # A name such as fsdp_cpu_offload, or an object; the class of FSDP2 is not a subclass of FSDPStrategy.
    is_fsdp1 = isinstance(strategy, FSDPStrategy) or (isinstance(strategy, str) and strategy.startswith("fsdp"))
    if not is_fsdp1:
        return
    accelerator = trainer.get("accelerator")
    if accelerator == "cpu" or not torch.cuda.is_available():
        found = "trainer.accelerator is cpu" if accelerator == "cpu" else "there is none"
        raise ConfigError(f"trainer.strategy fsdp (FSDP1) needs GPUs, and {found}: {_INSTEAD}")
    clip = trainer.get("gradient_clip_val")
    if clip and trainer.get("gradient_clip_algorithm") != "value":
        raise ConfigError(
            f"trainer.gradient_clip_val is {clip}, but under strategy fsdp (FSDP1) Lightning cannot clip by norm: "
            f"{_INSTEAD}"
        )


def explained(error: BaseException) -> ConfigError | None:
    """Return an error of Lightning or torch as a sentence for the user; None when the error is clear by itself."""
    # Lightning tries to open a checkpoint as a file even when it is a folder of slices.
    if isinstance(error, IsADirectoryError) and str(error.filename).endswith(".ckpt"):
        return ConfigError(
            f"ckpt_path {error.filename} is a folder of slices, which only FSDP2 reads. To have one file for every "
            "strategy, resume once under FSDP2 with --trainer.strategy.init_args.sharded_checkpoints=false."
        )
    return None
