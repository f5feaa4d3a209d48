"""Held-out evaluation: one greedy and several sampled completions per prompt, scored and judged.

Shapes: P prompts, G sampled completions per prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from algorithms import Completion, ConfigError, Prompt, check_at_least, effective_groups, pass_at_k
from hallucination import Benchmark, HallucinationRate, judged_completions
from rollouts import RolloutPhase, gather_ranks

# Keys of the metrics that return several values.
_CLAIMS, _BENCHMARK = "claims", "benchmark"


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What held-out evaluation measures."""

    num_samples: int = 8
    """Completions per prompt at the training temperature; accuracy and pass@k are means over them."""

    pass_at: tuple[int, ...] = (4, 8)
    """The k for which pass@k is reported."""

    seed: int = 1234
    """Seed of the samples. Every validation has the same seed, so that a curve changes only with the policy."""

    benchmark: Benchmark | None = None
    """A benchmark of hallucination; its own scores of the greedy completions are logged. null: no benchmark. The
    presets in ``configs/datasets`` set a benchmark together with its data."""

    def __post_init__(self) -> None:
        why = "one sample cannot show whether a prompt has mixed outcomes"
        check_at_least("model.evaluation.num_samples", self.num_samples, 2, why)
        if any(not 1 <= k <= self.num_samples for k in self.pass_at):
            raise ConfigError(
                f"model.evaluation.pass_at must lie between 1 and num_samples = {self.num_samples}, "
                f"got {list(self.pass_at)}."
            )

    def check_prompts(self, prompts: Mapping[str, Sequence[Prompt]], stage: str) -> None:
        """Refuse a benchmark without a question among the held-out prompts of a stage.

        Args:
            prompts: prompts by split.
            stage: ``fit``, ``validate``, ``test`` or ``predict``, which evaluates nothing.

        Raises:
            ConfigError: names the setting, and what rows of the benchmark must have.
        """
        split = "test" if stage == "test" else "val"
        # A training run may have no validation split.
        if self.benchmark is not None and stage != "predict" and split in prompts:
            self.benchmark.check(prompts[split], f"data.source.{split}", "model.evaluation.benchmark")


class Evaluation(nn.Module):
    """The metrics of held-out prompts, over the prompts of all ranks."""

    def __init__(self, config: EvaluationConfig) -> None:
        """Create the metrics."""
        super().__init__()
        names = (
            "greedy_accuracy", "sampled_accuracy", "unknown_fraction", "format_rate", "effective_fraction",
            "completion_tokens", "outside_benchmark",
        )  # fmt: skip
        self.means: Any = nn.ModuleDict({name: MeanMetric() for name in names})
        self.pass_at: Any = nn.ModuleDict({f"pass_at_{k}": PassAtK(k) for k in config.pass_at})
        self.hallucination = HallucinationRate()
        self.benchmark = config.benchmark
        self.scores: Any = None if config.benchmark is None else config.benchmark.metric()

    def update(self, sampled: RolloutPhase, *, greedy_accuracy: Float[Tensor, " P"]) -> None:
        """Add a batch of P prompts.

        Args:
            sampled: G scored and judged completions of each prompt; an unknown score is left out of every mean.
            greedy_accuracy: score of the greedy completion of each prompt, NaN where it is unknown.
        """
        parts = {name: scores.float() for name, scores in sampled.scores.parts.items()}  # (P, G) each, with NaN
        # Updated also without a known score: every rank must update the same metrics, because compute is a collective
        # call.
        self.means["greedy_accuracy"].update(_known(greedy_accuracy))
        self.means["sampled_accuracy"].update(_known(parts["accuracy"]))
        # Unknown scores are left out of means, so the log shows the share of unknown scores beside them.
        is_unknown = torch.cat([parts["accuracy"].flatten(), greedy_accuracy]).isnan()
        self.means["unknown_fraction"].update(is_unknown.float())
        if "format" in parts:
            self.means["format_rate"].update(_known(parts["format"]))
        self.means["effective_fraction"].update(effective_groups(sampled.rule_rewards).float())
        self.means["completion_tokens"].update(sampled.lengths.float())
        # Scores between 0 and 1 are allowed; pass@k counts only completions that are right.
        for metric in self.pass_at.values():
            metric.update(parts["accuracy"] > 0.5, is_known=~parts["accuracy"].isnan())
        if sampled.claims is not None:
            self.hallucination.update(judged_completions(sampled.prompts, sampled.completions, sampled.claims))

    def add_greedy(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> None:
        """Add the greedy completion of each of P prompts to the scores of the benchmark, if there is one."""
        if self.benchmark is None:
            return
        of_benchmark = [self.benchmark.has_form(prompt) for prompt in prompts]
        self.means["outside_benchmark"].update(1.0 - torch.tensor(of_benchmark, dtype=torch.float32))
        asked = [prompt for prompt, is_asked in zip(prompts, of_benchmark, strict=True) if is_asked]
        given = [completion for completion, is_asked in zip(completions, of_benchmark, strict=True) if is_asked]
        # Without a question there are no scores; logging 0 would look like a bad score.
        if asked:
            self.benchmark.add(self.scores, asked, given)

    def compute(self) -> dict[str, Tensor]:
        """Return every metric that has data on any rank, by name; a collective call."""
        named = self._named
        # Computing a metric gathers it from all ranks, so ranks without prompts must compute the same metrics.
        updated = gather_ranks([name for name, metric in named.items() if metric.update_called])
        wanted = set[str]().union(*updated)
        values: dict[str, Tensor] = {}
        for name, metric in named.items():
            if name in wanted:
                found = metric.compute()
                values |= found if isinstance(found, dict) else {name: found}
        # NaN is the mean of a metric without a known score.
        return {name: value for name, value in values.items() if not value.isnan()}

    def reset(self) -> None:
        """Forget all prompts."""
        for metric in self._named.values():
            metric.reset()

    @property
    def _named(self) -> dict[str, Any]:
        several = {_CLAIMS: self.hallucination} | ({} if self.scores is None else {_BENCHMARK: self.scores})
        return {**self.means, **self.pass_at, **several}


def _known(scores: Tensor) -> Tensor:
    return scores[~scores.isnan()]


class PassAtK(Metric):
    """Mean over prompts of the unbiased estimate of pass@k."""

    total: Tensor
    num_prompts: Tensor

    def __init__(self, k: int) -> None:
        """Set k."""
        super().__init__()
        # Sum and count, so that the mean over all ranks is right when ranks have different numbers of prompts.
        self.k = k
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("num_prompts", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, is_correct: Tensor, *, is_known: Tensor | None = None) -> None:
        """Add P prompts; those with fewer than k known samples are left out.

        Args:
            is_correct: (P, G) True at the right samples.
            is_known: (P, G) True at the samples with a known score, all others being wrong in ``is_correct``; default
                all of them.
        """
        # n of each prompt: its known samples.
        num_known = torch.ones_like(is_correct).sum(dim=1) if is_known is None else is_known.sum(dim=1)  # (P,)
        for n in num_known.unique().tolist():
            if n >= self.k:
                num_correct = is_correct[num_known == n].sum(dim=1).long()
                rates = pass_at_k(num_correct, num_samples=n, k=self.k)
                self.total += rates.sum().to(self.total)
                self.num_prompts += len(rates)

    def compute(self) -> Tensor:
        """Return the mean; NaN without prompts."""
        return self.total / self.num_prompts
