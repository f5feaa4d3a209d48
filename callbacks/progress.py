"""A progress bar with a few metrics that show the state of a run: reward, accuracy, signal and speed."""

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
    """Rich's progress bar with a short list of metrics instead of all metrics that are logged for it.

    When the length of a run is set in steps, the bar ends at the last step and shows no epoch number: Lightning would
    show "/-2" as the last epoch.
    """

    title: str | None = None
    """Text beside the bar, instead of Training or Predicting."""

    @property
    def total_train_batches(self) -> int | float:
        """Batches of the present epoch, or until the last step of the run when it comes before the end of the epoch."""
        trainer = self.trainer
        if trainer.max_epochs != -1 or trainer.max_steps < 0:
            return super().total_train_batches
        before = trainer.current_epoch * trainer.num_training_batches if trainer.current_epoch else 0
        # Lightning's own number counts steps as batches, which is wrong when gradients are accumulated.
        return min(trainer.num_training_batches, trainer.max_steps * trainer.accumulate_grad_batches - before)

    def _get_train_description(self, current_epoch: int) -> str:
        title, epochs = self.title or "Training", self.trainer.max_epochs
        # Counted from 1: Lightning counts from 0, so a run of one epoch would show 0/0.
        if epochs is None or epochs < 0:
            return f"{title}, epoch {current_epoch + 1}" if current_epoch else title
        return f"{title}, epoch {current_epoch + 1} of {epochs}" if epochs > 1 else title

    @property
    def predict_description(self) -> str:
        """Text beside the bar of prediction."""
        return self.title or super().predict_description

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the metrics to show."""
        # A metric that this run does not log is left out, such as replay in a run without a buffer.
        logged = trainer.callback_metrics
        values = {label: float(logged[key]) for key, label in SHOWN.items() if key in logged}
        return {label: f"{value:,.0f}" if label == "tokens/s" else f"{value:.2f}" for label, value in values.items()}
