"""Groups the curves of TensorBoard's custom-scalars page by the questions that a researcher has about a run."""

import re
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.tensorboard.summary import custom_scalars

from lightning_modules.logs.tensorboard import tensorboard_writers

# Title of a group, titles of its plots, and the metrics of each plot.
STORY = {
    "1 Is it learning?": {
        "held-out accuracy": ["val/greedy_accuracy", "val/sampled_accuracy"],
        "accuracy of rollouts": ["rollout/accuracy", "rollout/format"],
        "pairs ordered rightly": ["train/preference_accuracy", "val/preference_accuracy"],
        "pairs scored in the right order": ["train/accuracy", "val/pair_accuracy"],
        "loss on held-out demonstrations": ["val/loss"],
        "cells named rightly": ["val/cell_accuracy"],
    },
    "2 Does it say what it sees?": {
        "hallucination rate": ["val/hallucination_rate", "rollout/hallucination_rate", "hallucination/rate"],
        "reward against hallucination": ["rollout/preference", "hallucination/rate"],
        "accuracy lost without the picture": [
            "blind/accuracy_gap_blank",
            "blind/accuracy_gap_shuffled",
            "blind/accuracy_gap_masked",
        ],
        "threshold": ["calibration/threshold"],
    },
    "3 Is there signal?": {
        "effective groups and replay": ["rollout/effective_fraction", "buffer/replay_fraction"],
        "age of replay": ["buffer/replay_age"],
        "implicit rewards": ["train/chosen_reward", "train/rejected_reward", "train/reward_shift"],
        "pairs kept": ["train/pairs_kept"],
    },
    "4 Is it stable?": {
        "loss": ["train/loss"],
        "entropy": ["train/entropy"],
        "clipped fraction": ["train/clipped_fraction_fresh", "train/clipped_fraction_replay"],
        "log ratio": ["train/log_ratio_fresh", "train/log_ratio_replay"],
        "norm of the gradient": ["train/grad_norm"],
    },
    "5 Where does the time go?": {
        "seconds per rollout": ["time/rollout_seconds"],
        "tokens per second": ["time/rollout_tokens_per_second"],
    },
}
_TAGS = {tag for plots in STORY.values() for tags in plots.values() for tag in tags}


class TensorBoardLayout(Callback):
    """Writes a layout with plots of all metrics logged so far, and writes it again when there are new metrics.

    TensorBoard shows the newest layout of a run. A plot keeps all of its metrics as soon as the run has one of them, so
    compared runs have equal plots, and TensorBoard draws them into one; plots that differ would stand side by side.
    """

    def __init__(self) -> None:
        """Start without metrics."""
        self.logged: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """Return the names of the logged metrics, so that a resumed run keeps its plots."""
        return {"logged": sorted(self.logged)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the names of the logged metrics."""
        self.logged = set(state_dict["logged"])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the layout if there are new metrics."""
        self._extend(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the layout if there are new metrics."""
        self._extend(trainer)

    def _extend(self, trainer: Trainer) -> None:
        new = _TAGS & set(trainer.logged_metrics) - self.logged
        if not new:
            return
        self.logged |= new
        for writer in tensorboard_writers(trainer):
            assert writer.file_writer is not None  # it is None in a closed writer
            writer.file_writer.add_summary(custom_scalars(layout_of(self.logged)), trainer.global_step)


def layout_of(logged: set[str]) -> dict[str, dict[str, list[Any]]]:
    """Return the layout of a run, in the form that ``torch.utils.tensorboard`` takes."""
    pages = {
        # "Multiline" draws several metrics into one plot.
        page: {
            title: ["Multiline", [exactly(tag) for tag in tags]] for title, tags in plots.items() if logged & {*tags}
        }
        for page, plots in STORY.items()
    }
    return {page: plots for page, plots in pages.items() if plots}


def exactly(tag: str) -> str:
    """Return a pattern for exactly this tag: TensorBoard treats the names in a plot as prefixes of tags."""
    return f"^{re.escape(tag)}$"
