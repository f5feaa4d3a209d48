"""Settings of the Selective Sample Buffer, each with its meaning and where its value comes from.

Shapes: K slots.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Int
from torch import Tensor

from algorithms.errors import ConfigError, check_at_least


@dataclass(frozen=True, kw_only=True)
class BufferConfig:
    """What is kept and what is replayed; ``capacity`` 0 switches replay off."""

    capacity: int = 1024
    """Most samples held, per rank. Own choice: the paper gives none."""

    max_age: int = 16
    """Most optimizer steps between the sampling of a sample and its use in a batch; VL-Rethinker's bound."""

    priority_exponent: float = 1.0
    """Power of |advantage| in the draw; 0 draws uniformly. The paper has 1."""

    correction_exponent: float = 0.0
    """How strongly the loss corrects for the preference of the draw: each replayed sample has the weight (uniform /
    actual probability of being drawn)^exponent. 0 corrects nothing, as in the paper and in other trainers; 1 cancels
    the preference, so that only the variance differs from a uniform draw."""

    evict: Literal["oldest", "lowest_priority"] = "oldest"
    """Which samples leave a full buffer; of samples with equal priority the older ones leave."""

    replay_share: float | None = None
    """Share of the batch that is replayed, beside all fresh effective samples (RePO, ExGRPO); null: replay fills
    only the gap that ineffective samples leave."""

    retire_solved: bool = False
    """Drop the samples of a prompt whose newest group is all right (ExGRPO)."""

    def __post_init__(self) -> None:
        for key, value, least, why in (
            ("capacity", self.capacity, 0, "0 switches replay off"),
            ("max_age", self.max_age, 1, "samples are one step old at their first replay; capacity 0 switches it off"),
            ("priority_exponent", self.priority_exponent, 0, "below 0 it prefers the samples that teach least"),
            ("correction_exponent", self.correction_exponent, 0, "below 0 it counts preferred samples twice"),
        ):
            check_at_least(f"data.buffer.{key}", value, least, why)
        # At 1 a batch would be all replay, and num_replay() would divide by zero.
        if self.replay_share is not None and not 0.0 <= self.replay_share < 1.0:
            raise ConfigError(
                f"data.buffer.replay_share must be null or lie in [0, 1), got {self.replay_share}: it is the share of "
                "a batch that is not fresh."
            )

    def num_replay(self, *, num_fresh: int, num_effective: int) -> int:
        """Return how many samples to replay beside the effective ones of a rollout of ``num_fresh``."""
        if self.replay_share is None:
            return num_fresh - num_effective
        # replay / (effective + replay) = share, solved for replay.
        return round(num_effective * self.replay_share / (1.0 - self.replay_share))

    def check_room(self, slots: Int[Tensor, " K"]) -> None:
        """Raise ConfigError when a saved buffer used slots that this one does not have."""
        # The largest slot counts, not the number of samples: samples keep their slots.
        if len(slots) and int(slots.max()) >= self.capacity:
            raise ConfigError(
                f"data.buffer.capacity is {self.capacity}, but the checkpoint holds a buffer of {int(slots.max()) + 1} "
                "or more samples: resume with the capacity it was written with."
            )

    def full_batch(self, num_fresh: int) -> float:
        """Return the size of a batch in which every fresh sample is effective; not rounded."""
        return num_fresh / (1.0 - (self.replay_share or 0.0))
