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
    """Rich's bar with a short list of metrics in place of all those logged for it."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the metrics to show."""
        # A metric that this run does not log, such as replay without a buffer, is left out.
        logged = trainer.callback_metrics
        values = {label: float(logged[key]) for key, label in SHOWN.items() if key in logged}
        return {label: f"{value:,.0f}" if label == "tokens/s" else f"{value:.2f}" for label, value in values.items()}
