"""Held-out evaluation: one greedy and several sampled completions per prompt, scored and judged."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from algorithms import ConfigError, effective_groups, pass_at_k
from hallucination import HallucinationRate, judged_completions
from rollouts import RolloutPhase


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What held-out evaluation measures."""

    num_samples: int = 8
    """Completions per prompt at the training temperature; accuracy and pass@k are means over them."""

    pass_at: tuple[int, ...] = (4, 8)
    """The k of each pass@k that is reported."""

    seed: int = 1234
    """Seed of the samples: the same at every validation, so that curves differ by policy only."""

    def __post_init__(self) -> None:
        if self.num_samples < 2:
            raise ConfigError(
                f"model.evaluation.num_samples must be at least 2, got {self.num_samples}: "
                "one sample cannot tell whether a prompt has mixed outcomes."
            )
        if any(not 1 <= k <= self.num_samples for k in self.pass_at):
            raise ConfigError(
                f"model.evaluation.pass_at must lie between 1 and num_samples = {self.num_samples}, "
                f"got {list(self.pass_at)}."
            )


class Evaluation(nn.Module):
    """The metrics of one split."""

    def __init__(self, config: EvaluationConfig) -> None:
        """Create the metrics."""
        super().__init__()
        names = ("greedy_accuracy", "sampled_accuracy", "format_rate", "effective_fraction", "completion_tokens")
        self.means: Any = nn.ModuleDict({name: MeanMetric() for name in names})
        self.pass_at: Any = nn.ModuleDict({f"pass_at_{k}": PassAtK(k, config.num_samples) for k in config.pass_at})
        self.hallucination = HallucinationRate()

    def update(self, sampled: RolloutPhase, *, greedy_accuracy: Float[Tensor, " P"]) -> None:
        """Add a batch of P prompts.

        Args:
            sampled: G scored and judged completions of each prompt; a score that is missing counts as 0.
            greedy_accuracy: score of the greedy completion of each prompt.
        """
        parts = {name: scores.nan_to_num(0.0).float() for name, scores in sampled.scores.parts.items()}  # (P, G) each
        self.means["greedy_accuracy"].update(greedy_accuracy)
        self.means["sampled_accuracy"].update(parts["accuracy"])
        if "format" in parts:
            self.means["format_rate"].update(parts["format"])
        self.means["effective_fraction"].update(effective_groups(sampled.rule_rewards).float())
        self.means["completion_tokens"].update(sampled.lengths.float())
        for metric in self.pass_at.values():
            metric.update(parts["accuracy"] > 0.5)
        if sampled.claims is not None:
            self.hallucination.update(judged_completions(sampled.prompts, sampled.completions, sampled.claims))

    def compute(self) -> dict[str, Tensor]:
        """Return every metric that has seen data, by name."""
        named = {**self.means, **self.pass_at}
        values = {name: metric.compute() for name, metric in named.items() if metric.update_called}
        if self.hallucination.update_called:
            values |= self.hallucination.compute()
        return values

    def reset(self) -> None:
        """Forget everything."""
        for metric in (*self.means.values(), *self.pass_at.values(), self.hallucination):
            metric.reset()


class PassAtK(Metric):
    """Mean over prompts of the unbiased pass@k."""

    total: Tensor
    num_prompts: Tensor

    def __init__(self, k: int, num_samples: int) -> None:
        """Set k and the samples per prompt."""
        super().__init__()
        self.k, self.num_samples = k, num_samples
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("num_prompts", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, is_correct: Tensor) -> None:
        """Add prompts: ``is_correct`` (P, samples)."""
        rates = pass_at_k(is_correct.sum(dim=1).long(), num_samples=self.num_samples, k=self.k)
        self.total += rates.sum().to(self.total)
        self.num_prompts += len(rates)

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.total / self.num_prompts.clamp_min(1.0)
