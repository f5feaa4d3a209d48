"""Groups the curves of TensorBoard's custom-scalars page by the questions that a researcher has about a run."""

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_modules.logs.tensorboard import tensorboard_writers

# Title of a group, titles of its plots, and the metrics of each plot.
STORY = {
    "1 Is it learning?": {
        "held-out accuracy": ["val/greedy_accuracy", "val/sampled_accuracy"],
        "accuracy of rollouts": ["rollout/accuracy", "rollout/format"],
    },
    "2 Does it say what it sees?": {
        "hallucination rate": ["val/hallucination_rate", "rollout/hallucination_rate", "hallucination/rate"],
        "reward against hallucination": ["rollout/preference", "hallucination/rate"],
        "threshold": ["calibration/threshold"],
    },
    "3 Is there signal?": {
        "effective groups and replay": ["rollout/effective_fraction", "buffer/replay_fraction"],
        "age of replay": ["buffer/replay_age"],
    },
    "4 Is it stable?": {
        "entropy": ["train/entropy"],
        "clipped fraction": ["train/clipped_fraction_fresh", "train/clipped_fraction_replay"],
        "log ratio": ["train/log_ratio_fresh", "train/log_ratio_replay"],
    },
    "5 Where does the time go?": {
        "seconds per rollout": ["time/rollout_seconds"],
        "tokens per second": ["time/rollout_tokens_per_second"],
    },
}


class TensorBoardLayout(Callback):
    """Writes the layout once, when training starts."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the layout to every TensorBoard logger."""
        # "Multiline" draws several metrics into one plot.
        layout = {page: {title: ["Multiline", tags] for title, tags in plots.items()} for page, plots in STORY.items()}
        for writer in tensorboard_writers(trainer):
            writer.add_custom_scalars(layout)
