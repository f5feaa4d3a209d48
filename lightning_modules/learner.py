"""The base of all modules that learn: it guards every optimizer step and logs its metrics.

    backward of all micro-batches -> loss and gradient finite on all ranks? -> is there a gradient at all?
          -> clip -> AdamW -> weights finite? -> callbacks may write a checkpoint

Everything is checked before a checkpoint can be written, so that the newest checkpoint of a run that stops here is
intact. Without a gradient AdamW would still move the weights, by weight decay and by the momentum of earlier steps. So
a step without a gradient is left out.
"""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from algorithms import ConfigError
from lightning_modules.learning import gradient_norm, learning_weights, total_norm
from lightning_modules.logs.weights import changed_and_all, local, sampled_weights
from lightning_modules.precision import buffers_kept

MAX_SKIPPED_IN_A_ROW = 20
"""A run that may skip steps that are not finite stops after so many in a row, because it no longer learns."""

_KEY = "learner"


class TrainingDiverged(RuntimeError):
    """Loss, gradient or weights are not finite: the run cannot go on. Printed by the command line as one line."""


class LearnerModule(L.LightningModule):
    """Guards optimizer steps. Subclasses build a model and add the training step."""

    skip_nonfinite = False
    """Whether a step whose loss or gradient is not finite is left out, instead of stopping the run."""

    def __init__(self) -> None:
        """Start the counts."""
        super().__init__()
        # Since the start of the run: steps left out because they were not finite, and because they had no gradient.
        self.num_skipped = self.num_idle = 0
        self._skipped_in_a_row = 0
        # Number of losses of the present optimizer step on this rank that are not finite. It stays on the device,
        # because reading it after every micro-batch would wait for the device.
        self._num_bad_losses: Tensor | None = None

    def on_train_start(self) -> None:
        """Refuse to start from weights that are not finite, frozen ones included.

        Raises:
            ConfigError: on all ranks alike, with the name of the first such tensor.
        """
        bad = [name for name, parameter in self.named_parameters() if not local(parameter).isfinite().all()]
        # With sharded weights only some ranks have the slice with the bad number.
        if self.trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            raise ConfigError(
                f"model: the weights to start from hold numbers that are not finite, in {len(bad)} tensors"
                f"{f', such as {bad[0]}' if bad else ' on this rank, and some on another'}: they were spoiled before; "
                "start from an earlier checkpoint or export."
            )

    def on_before_backward(self, loss: Tensor) -> None:
        """Remember whether the loss of a micro-batch is finite."""
        is_bad = (~loss.detach().isfinite()).double()
        # The decision comes later: a rank that stops here would leave the others waiting for its gradients.
        self._num_bad_losses = is_bad if self._num_bad_losses is None else self._num_bad_losses + is_bad

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the norm of the gradient before it is clipped, and drop a gradient that must not be used.

        Raises:
            TrainingDiverged: on all ranks alike, for a loss or a gradient that is not finite.
        """
        # Lightning clips after this hook.
        norm = gradient_norm(optimizer)
        self.log("train/grad_norm", norm)
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])
        bad_losses, bad_norms, gradients = self._over_ranks(norm)
        if bad_losses or bad_norms:
            self._refuse_or_count(loss_is_bad=bool(bad_losses), norm=norm)
        else:
            self._skipped_in_a_row = 0
            self.num_idle += not gradients
        if bad_losses or bad_norms or not gradients:
            # AdamW skips weights whose gradient is None: neither the weights nor their moments change.
            optimizer.zero_grad(set_to_none=True)
        self.log("train/skipped_steps", float(self.num_skipped))
        self.log("train/idle_steps", float(self.num_idle))

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Take a step, and log the share of weights that the step has changed.

        Raises:
            TrainingDiverged: on all ranks alike, when a weight is not finite after the step.
        """
        weights = learning_weights(optimizer)
        # Only for steps that are logged: comparing weights takes time that small policies notice.
        is_logged = (self.trainer.global_step + 1) % self.trainer.log_every_n_steps == 0  # pyright: ignore[reportAttributeAccessIssue]
        before = sampled_weights(weights) if is_logged else []
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if is_logged:
            changed, total = self.trainer.strategy.reduce(changed_and_all(before, weights), reduce_op="sum")
            self.log("train/changed_fraction", (changed / total).float())
        # The norm is the same on all ranks: either weights are equal, or the norm is over the slices of all ranks.
        if not total_norm(weights).isfinite():
            raise TrainingDiverged(
                f"step {self._step}: weights are no longer finite after the update, although its gradient was; lower "
                "the learning rate."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counts. Subclasses that add more call this."""
        checkpoint[_KEY] = {"num_skipped": self.num_skipped, "num_idle": self.num_idle}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counts. Subclasses that restore more call this."""
        counts = checkpoint.get(_KEY, {})  # checkpoints of earlier versions have none
        self.num_skipped, self.num_idle = counts.get("num_skipped", 0), counts.get("num_idle", 0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LearnerModule":
        """Move and convert as torch does, but keep the dtype of buffers. ``torch.nn.Module.to`` calls this method."""
        with buffers_kept(self):
            return super()._apply(fn, recurse)

    @property
    def _step(self) -> int:
        """Number of the optimizer step under way, from 1."""
        return self.trainer.global_step + 1

    def _over_ranks(self, norm: Tensor) -> list[float]:
        """Return sums over ranks: losses and gradients that are not finite, and gradients that are not 0."""
        bad_losses = norm.new_zeros((), dtype=torch.double) if self._num_bad_losses is None else self._num_bad_losses
        self._num_bad_losses = None
        counts = [bad_losses.to(norm.device), (~norm.isfinite()).double(), (norm != 0.0).double()]
        return self.trainer.strategy.reduce(torch.stack(counts), reduce_op="sum").tolist()

    def _refuse_or_count(self, *, loss_is_bad: bool, norm: Tensor) -> None:
        """Count a step that is not finite, or stop the run."""
        found = "the loss is not finite" if loss_is_bad else f"the norm of the gradient is {norm.item()}"
        # With 16-mixed the gradient scaler finds its scale by overflows, so a gradient that is not finite is normal,
        # and the scaler itself leaves the step out.
        is_scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        if not (self.skip_nonfinite or (is_scaled and not loss_is_bad)):
            raise TrainingDiverged(
                f"step {self._step}: {found}, and an update would spoil the weights; lower the learning rate or look "
                "at the data of this step. model.learning.skip_nonfinite: true leaves such steps out."
            )
        self.num_skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise TrainingDiverged(
                f"step {self._step}: {found}, as in the {MAX_SKIPPED_IN_A_ROW - 1} steps before, which were left out: "
                "nothing is learnt any more; lower the learning rate."
            )
