"""What is logged about preference pairs. docs/metrics.md explains every key.

Shapes: B pairs; column 0 of (B, 2) is the chosen completion, column 1 the rejected one.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MeanMetric

from algorithms import MPOOutput, RewardShift
from lightning_modules.pair_logps import PairLogps
from rollouts import gather_ranks


# Without gradient, because logged values must not keep the graph of the step in memory.
@torch.no_grad()
def pair_step_metrics(scored: PairLogps, out: MPOOutput) -> dict[str, Tensor]:
    """Return the metrics that every training step on pairs logs besides the loss: means over the batch."""
    return {
        "train/generation_loss": out.generation.mean(),
        "train/chosen_logps": scored.logps[:, 0].mean(),
        "train/chosen_tokens": scored.num_tokens[:, 0].float().mean(),
    }


@torch.no_grad()
def contrast_metrics(
    scored: PairLogps, rewards: Float[Tensor, "B 2"], out: MPOOutput, shift: RewardShift
) -> dict[str, Tensor]:
    """Return the further metrics of a step whose loss uses rejected completions.

    Args:
        scored: log-probs and lengths of the pairs.
        rewards: implicit rewards.
        out: the loss and its terms.
        shift: delta, with the rewards of this batch.
    """
    return {
        "train/preference_loss": out.preference.mean(),
        "train/quality_loss": out.quality.mean(),
        "train/chosen_reward": rewards[:, 0].mean(),
        "train/rejected_reward": rewards[:, 1].mean(),
        "train/margin": (rewards[:, 0] - rewards[:, 1]).mean(),
        "train/preference_accuracy": (rewards[:, 0] > rewards[:, 1]).float().mean(),
        "train/reward_shift": shift.value,
        "train/rejected_logps": scored.logps[:, 1].mean(),
        "train/rejected_tokens": scored.num_tokens[:, 1].float().mean(),
    }


class PairEvaluation(nn.Module):
    """Means over the held-out pairs of all ranks."""

    def __init__(self) -> None:
        """Create the metrics."""
        super().__init__()
        # Logged under val/; the reward model logs margin and loss of its own pairs under the same keys.
        names = ("loss", "preference_accuracy", "margin", "chosen_reward", "rejected_reward")
        self.means: Any = nn.ModuleDict({name: MeanMetric() for name in names})

    def update(self, loss: Float[Tensor, ""], rewards: Float[Tensor, "B 2"], *, is_contrastive: bool) -> None:
        """Add B pairs.

        Args:
            loss: mean over the pairs.
            rewards: implicit rewards.
            is_contrastive: False: only the loss is added, because the rewards were not computed.
        """
        # The loss is a mean over its batch, and batches differ in size, so it is weighted by the size.
        self.means["loss"].update(loss, weight=len(rewards))
        if is_contrastive:
            self.means["chosen_reward"].update(rewards[:, 0])
            self.means["rejected_reward"].update(rewards[:, 1])
            self.means["margin"].update(rewards[:, 0] - rewards[:, 1])
            self.means["preference_accuracy"].update((rewards[:, 0] > rewards[:, 1]).float())

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of every metric that a rank has updated; a collective call."""
        # compute() gathers over ranks, so a rank without pairs must call it for the same metrics as the others.
        updated = gather_ranks([name for name, metric in self.means.items() if metric.update_called])
        return {name: self.means[name].compute() for name in sorted(set[str]().union(*updated))}

    def reset(self) -> None:
        """Forget all pairs."""
        for metric in self.means.values():
            metric.reset()
