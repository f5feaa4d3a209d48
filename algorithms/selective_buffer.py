"""Selective Sample Buffer, SSB (R1V2, arXiv:2504.16656, section 3.3).

Keeps samples whose advantage is not zero and hands some of them to later updates, drawn in proportion to
|advantage|^priority_exponent, so that the batch stays full when most groups of a rollout have become all
right or all wrong.

Differs from the paper: the paper gives no capacity, exponent, mix or age limit, and does not say which
log-probabilities a replayed sample is compared with. Here a sample keeps the behavior log-probs and the
advantage it was stored with, may be drawn while it is at most ``max_age`` policy versions old (16 is the
bound that VL-Rethinker's replay has by construction, arXiv:2504.08837), and stays in the buffer when
drawn. Of one draw no sample appears twice.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from algorithms.errors import ConfigError
from algorithms.records import ExperienceBatch


@dataclass(frozen=True, kw_only=True)
class BufferConfig:
    """Settings of the buffer; ``capacity`` 0 switches replay off."""

    capacity: int = 1024
    """Most samples held, per rank; the oldest leave first."""

    max_age: int = 16
    """Most optimizer steps between the sampling of a sample and its use."""

    priority_exponent: float = 1.0
    """Power of |advantage| in the draw; 0 draws uniformly."""

    def __post_init__(self) -> None:
        if self.capacity < 0:
            raise ConfigError(f"data.buffer.capacity must be at least 0, got {self.capacity}; 0 switches replay off.")
        if self.max_age < 1:
            raise ConfigError(
                f"data.buffer.max_age must be at least 1 optimizer step, got {self.max_age}: a sample is one step "
                "old when it can first be replayed. Set data.buffer.capacity to 0 to switch replay off."
            )
        if self.priority_exponent < 0.0:
            raise ConfigError(
                f"data.buffer.priority_exponent must be at least 0, got {self.priority_exponent}: "
                "a negative power would prefer the samples that teach least."
            )


class SelectiveSampleBuffer:
    """Bounded store of samples that carry signal. Rows are kept in the order they were added."""

    def __init__(self, config: BufferConfig) -> None:
        """Start empty."""
        self.config = config
        self.stored = ExperienceBatch.empty()

    def __len__(self) -> int:
        return len(self.stored)

    def add(self, batch: ExperienceBatch) -> int:
        """Store the rows with a non-zero advantage and return how many there were."""
        keep = batch.advantages != 0.0
        if self.config.capacity and keep.any():
            joined = ExperienceBatch.cat([self.stored, batch.rows(keep)])
            self.stored = joined.rows(torch.arange(len(joined))[-self.config.capacity :])
        return int(keep.sum())

    def forget_stale(self, policy_version: int) -> int:
        """Drop the rows older than ``max_age`` at this version and return how many there were."""
        fresh = policy_version - self.stored.policy_versions <= self.config.max_age
        num_stale = int((~fresh).sum())
        if num_stale:
            self.stored = self.stored.rows(fresh)
        return num_stale

    def draw(self, num_samples: int, *, generator: torch.Generator) -> ExperienceBatch:
        """Return up to ``num_samples`` different rows, marked as replay; fewer when fewer are stored."""
        num_samples = min(num_samples, len(self))
        if num_samples <= 0:
            return ExperienceBatch.empty()
        weights = self.stored.advantages.abs().double() ** self.config.priority_exponent
        chosen = torch.multinomial(weights, num_samples, replacement=False, generator=generator)
        drawn = self.stored.rows(chosen).state_dict()
        return ExperienceBatch(**{**drawn, "is_replay": torch.ones(num_samples, dtype=torch.bool)})

    def state_dict(self) -> dict[str, Tensor]:
        """Return the stored rows as tensors."""
        return self.stored.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Replace the stored rows."""
        self.stored = ExperienceBatch(**state)
