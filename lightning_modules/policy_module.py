"""What all policy-training modules share: the policy, which parts learn, and their optimizer."""

from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from algorithms import ConfigError, Prompt
from lightning_modules.strategy import check_equal_batches, sharding_of
from models import LoRAConfig, Policy, PolicySource, add_lora, build_policy, is_sharded, save_pretrained


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up, then constant or cosine."""

    learning_rate: float = 1e-6
    """Peak learning rate."""

    warmup_steps: int = 0
    """Optimizer steps of linear rise from 0."""

    cosine: bool = False
    """Fall to 0 along a cosine by trainer.max_steps; False stays constant."""

    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW."""

    beta2: float = 0.999
    """Decay of AdamW's second moment."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0.0:
            raise ConfigError(f"model.optimizer.learning_rate must be above 0, got {self.learning_rate}.")
        if self.warmup_steps < 0:
            raise ConfigError(f"model.optimizer.warmup_steps must be at least 0, got {self.warmup_steps}.")


def build_optimizer(module: L.LightningModule, config: OptimizerConfig) -> dict[str, Any]:
    """Return AdamW over the trainable parameters and its schedule, as Lightning wants them."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ConfigError("model.trainable names no part and there is no model.lora, so nothing could learn: set one.")
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=(0.9, config.beta2), weight_decay=config.weight_decay
    )
    total = int(module.trainer.estimated_stepping_batches) if config.cosine else 0

    def scale(step: int) -> float:
        warm = min(1.0, (step + 1) / (config.warmup_steps + 1))
        if not config.cosine:
            return warm
        done = max(0, step - config.warmup_steps) / max(1, total - config.warmup_steps)
        return warm * 0.5 * (1.0 + torch.cos(torch.tensor(min(1.0, done) * torch.pi)).item())

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class PolicyModule(L.LightningModule):
    """Owns a policy. Subclasses add the step."""

    def __init__(
        self,
        policy: PolicySource,
        trainable: list[str],
        optimizer: OptimizerConfig,
        lora: LoRAConfig | None = None,
        recompute_activations: bool = False,
    ) -> None:
        """Remember the settings; weights load in ``configure_model``.

        Args:
            policy: where the policy comes from.
            trainable: parts that learn, any of ``vision_tower``, ``adapter``, ``language_model``.
            optimizer: learning rate and schedule.
            lora: low-rank updates that learn besides; null adds none.
            recompute_activations: keep only what enters each layer for backward, and compute the rest again (gradient
                checkpointing): memory of a layer instead of all, for another forward; prompts are then read once
                per completion.
        """
        super().__init__()
        self.lora, self.recompute_activations = lora, recompute_activations
        self.policy_source = policy
        self.trainable = trainable
        self.optimizer_config = optimizer
        self.policy: Policy | None = None

    @property
    def loaded_policy(self) -> Policy:
        """The policy, which must be there by now."""
        self.configure_model()
        assert self.policy is not None
        return self.policy

    def configure_model(self) -> None:
        """Build the policy once, frozen where it does not learn, and spread over ranks where the strategy does so."""
        if self.policy is None:
            self.policy = build_policy(self.policy_source, self._prepare, sharding_of(self._trainer))

    def _prepare(self, policy: Policy) -> None:
        """Freeze what does not learn and add what learns besides; weights may not be there yet."""
        policy.requires_grad_(False)
        if self.trainable:
            policy.set_trainable(self.trainable)
        if self.lora is not None:
            add_lora(policy.model, self.lora)
        if self.recompute_activations:
            policy.recompute_activations()
        # Weights come from a folder in eval mode, and would stay so until somebody switches.
        policy.train(policy.training)

    def configure_optimizers(self) -> Any:
        """AdamW on the trainable parts."""
        return build_optimizer(self, self.optimizer_config)

    def on_validation_start(self) -> None:
        """Refuse batches that ranks cannot read together."""
        check_equal_batches(self.trainer, "validation", self.trainer.num_val_batches)

    def on_test_start(self) -> None:
        """Refuse batches that ranks cannot read together."""
        check_equal_batches(self.trainer, "test", self.trainer.num_test_batches)

    def on_predict_start(self) -> None:
        """Refuse batches that ranks cannot read together."""
        check_equal_batches(self.trainer, "predict", self.trainer.num_predict_batches)

    def reaching(self, loss: Tensor) -> Tensor:
        """Return a loss that reaches every learning parameter where ranks wait for each other's gradients.

        A micro-batch without images leaves the adapter without gradient. DistributedDataParallel waits for every
        parameter; sharded policies have looked at a blank image instead.
        """
        if self.trainer.world_size == 1 or is_sharded(self.loaded_policy):
            return loss
        return loss + self.zero_loss()

    def zero_loss(self) -> Tensor:
        """Return a loss of 0 that reaches every learning parameter."""
        return torch.stack([p.sum() * 0.0 for p in self.parameters() if p.requires_grad]).sum()

    def prompt_length(self, prompt: Prompt) -> int:
        """Return a prompt's length in tokens, image tokens expanded; data modules filter by it."""
        return self.loaded_policy.encoder.length(prompt)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the norm of the gradient before clipping."""
        self.log("train/grad_norm", gradient_norm(optimizer))
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])

    def save_pretrained(self, folder: str) -> None:
        """Write the policy in Hugging Face format, LoRA merged; where weights are sharded a collective call."""
        save_pretrained(self.loaded_policy, folder, is_writer=self.trainer.is_global_zero)


def gradient_norm(optimizer: Optimizer) -> Tensor:
    """Return the 2-norm over all gradients, also of slices on other ranks; for those a collective call."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
