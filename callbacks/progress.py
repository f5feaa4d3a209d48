"""A progress bar with the few metrics that show how a run goes: reward, accuracy, signal and speed."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

# Metric and its short label, in the order in which they are shown.
SHOWN = {
    "rollout/reward": "reward",
    "rollout/accuracy": "accuracy",
    "rollout/effective_fraction": "effective",
    "buffer/replay_fraction": "replay",
    "time/rollout_tokens_per_second": "tokens/s",
    "train/loss": "loss",
}


class RolloutProgressBar(RichProgressBar):
    """Rich's bar with a short list of metrics in place of all those logged for it.

    The bar of a run whose length is set in steps ends with its last step, and is called after no epoch: Lightning would
    count to an epoch of -2.
    """

    title: str | None = None
    """What is said beside the bar in place of Training or Predicting."""

    @property
    def total_train_batches(self) -> int | float:
        """Batches of the present epoch; fewer where the last step comes before its end."""
        trainer = self.trainer
        if trainer.max_epochs != -1 or trainer.max_steps < 0:
            return super().total_train_batches
        before = trainer.current_epoch * trainer.num_training_batches if trainer.current_epoch else 0
        # Lightning's own number takes steps for batches, which differ where gradients are accumulated.
        return min(trainer.num_training_batches, trainer.max_steps * trainer.accumulate_grad_batches - before)

    def _get_train_description(self, current_epoch: int) -> str:
        title, epochs = self.title or "Training", self.trainer.max_epochs
        # From 1: Lightning counts from 0, to a last epoch of 0.
        if epochs is None or epochs < 0:
            return f"{title}, epoch {current_epoch + 1}" if current_epoch else title
        return f"{title}, epoch {current_epoch + 1} of {epochs}" if epochs > 1 else title

    @property
    def predict_description(self) -> str:
        """What is said beside the bar of prediction."""
        return self.title or super().predict_description

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the metrics to show."""
        # A metric that this run does not log, such as replay without a buffer, is left out.
        logged = trainer.callback_metrics
        values = {label: float(logged[key]) for key, label in SHOWN.items() if key in logged}
        return {label: f"{value:,.0f}" if label == "tokens/s" else f"{value:.2f}" for label, value in values.items()}
