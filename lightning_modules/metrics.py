"""Evaluation as torchmetrics: sums on every rank, added across ranks, divided once at the end."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from algorithms import Claim, pass_at_k
from algorithms.chair import count_covered


class HallucinationRate(Metric):
    """Share of claims, and of completions, that the facts do not support (CHAIR_i and CHAIR_s), and coverage."""

    full_state_update = False
    num_claims: Tensor
    num_unsupported: Tensor
    num_completions: Tensor
    num_with_unsupported: Tensor
    num_facts: Tensor
    num_covered: Tensor

    def __init__(self) -> None:
        """Start from zero claims."""
        super().__init__()
        for name in (
            "num_claims", "num_unsupported", "num_completions", "num_with_unsupported", "num_facts", "num_covered",
        ):  # fmt: skip
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, claims: Sequence[Sequence[Claim]], facts: Sequence[Collection[str]] | None = None) -> None:
        """Add completions, each given by its judged claims; coverage needs what each one's image shows."""
        for claimed, shown in zip(claims, facts, strict=True) if facts is not None else ():
            num_covered, num_facts = count_covered(claimed, shown)
            self.num_covered += num_covered
            self.num_facts += num_facts
        for claimed in claims:
            unsupported = sum(not claim.is_supported for claim in claimed)
            self.num_claims += len(claimed)
            self.num_unsupported += unsupported
            self.num_completions += 1
            self.num_with_unsupported += unsupported > 0

    def compute(self) -> dict[str, Tensor]:
        """Return the rates, 0 when nothing was claimed; nothing without completions, ``coverage`` only with facts."""
        if self.num_completions == 0:
            return {}
        rates = {
            "hallucination_rate": self.num_unsupported / self.num_claims.clamp_min(1.0),
            "hallucinated_completions": self.num_with_unsupported / self.num_completions.clamp_min(1.0),
            "claims_per_completion": self.num_claims / self.num_completions.clamp_min(1.0),
        }
        return rates | ({"coverage": self.num_covered / self.num_facts} if self.num_facts > 0 else {})


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
