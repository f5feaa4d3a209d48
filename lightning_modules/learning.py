"""Settings of learning, the same for every module: parts that learn, LoRA, optimizer and schedule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from algorithms import ConfigError, check_at_least
from models import LoRAConfig


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW. The learning rate rises linearly, then it is constant or falls along a cosine."""

    learning_rate: float = 1e-6
    """Peak learning rate."""

    warmup_steps: int = 0
    """Optimizer steps in which the learning rate rises linearly from near 0."""

    cosine: bool = False
    """True: the learning rate falls to 0 along a cosine, until trainer.max_steps. False: it stays constant."""

    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW."""

    beta2: float = 0.999
    """Decay of AdamW's second moment."""

    def __post_init__(self) -> None:
        # Written so that NaN is refused too.
        if not 0.0 < self.learning_rate < math.inf:
            raise ConfigError(f"optimizer.learning_rate must be a finite number above 0, got {self.learning_rate}.")
        if not 0.0 <= self.weight_decay < math.inf:
            raise ConfigError(f"optimizer.weight_decay must be a finite number, 0 or above, got {self.weight_decay}.")
        if not 0.0 <= self.beta2 < 1.0:
            raise ConfigError(f"optimizer.beta2 must lie in [0, 1), got {self.beta2}: at 1 no gradient would count.")
        check_at_least("optimizer.warmup_steps", self.warmup_steps, 0)


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """Which weights learn, and how they are updated."""

    trainable: tuple[str, ...] = ()
    """Parts that learn, any of ``vision_tower``, ``adapter``, ``language_model``."""

    optimizer: OptimizerConfig = OptimizerConfig()
    """Learning rate and schedule."""

    lora: LoRAConfig | None = None
    """Low-rank updates that learn in addition to the parts; null adds none."""

    recompute_activations: bool = False
    """Keep only the inputs of each layer for backward, and compute the rest again (gradient checkpointing). This needs
    the memory of one layer instead of all layers, and the time of one more forward."""

    skip_nonfinite: bool = False
    """Leave out a step whose loss or gradient is not finite, and count it in ``train/skipped_steps``; 20 such steps in
    a row still stop the run. False stops the run at the first such step."""

    allow_low_precision: bool = False
    """Let weights learn in 16 bits, as ``policy.dtype`` or ``trainer.precision`` sets them. This saves 12 bytes for
    each weight that learns, and at the learning rates of reinforcement learning it loses nearly all updates."""


def build_optimizer(module: L.LightningModule, config: OptimizerConfig) -> dict[str, Any]:
    """Return AdamW over the learning parameters and its schedule, in the form of ``configure_optimizers``.

    Raises:
        ConfigError: when no parameter learns.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ConfigError(
            "model.learning.trainable names no part and model.learning.lora is null, so nothing could learn: set one."
        )
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=(0.9, config.beta2), weight_decay=config.weight_decay
    )
    # Lightning computes the number of optimizer steps from max_steps, epochs and accumulation.
    total = int(module.trainer.estimated_stepping_batches) if config.cosine else 0

    def scale(step: int) -> float:
        # Factor of the peak learning rate. Counted from 1, so that the first step moves the weights too.
        warm = min(1.0, (step + 1) / (config.warmup_steps + 1))
        if not config.cosine:
            return warm
        done = max(0, step - config.warmup_steps) / max(1, total - config.warmup_steps)
        return warm * 0.5 * (1.0 + torch.cos(torch.tensor(min(1.0, done) * torch.pi)).item())

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
    # Lightning's default would move the schedule once per epoch.
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def learning_weights(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters that an optimizer updates."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def gradient_norm(optimizer: Optimizer) -> Tensor:
    """Return the 2-norm over all gradients. Where weights are sharded, it covers all ranks, in a collective call."""
    return total_norm([p.grad for p in learning_weights(optimizer) if p.grad is not None])


@torch.no_grad()
def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the 2-norm over all numbers of some tensors; a collective call where they are sharded."""
    norm = torch.nn.utils.get_total_norm(tensors)
    # The norm of sharded tensors is a DTensor; its value is known only after the ranks have added up their parts.
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
