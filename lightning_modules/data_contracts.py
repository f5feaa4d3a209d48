"""What the training modules need of their data modules, which they may not import."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from algorithms import (
    BufferConfig,
    ExperienceBatch,
    PairSelection,
    PairTicket,
    PreferencePair,
    Prompt,
    SelectiveSampleBuffer,
)
from rollouts import RolloutPhase


class ExperienceSource(Protocol):
    """What GRPO needs: prompts, and the exchange of a rollout for micro-batches."""

    prompts_per_rollout: int
    micro_batches: int
    buffer: SelectiveSampleBuffer
    buffer_config: BufferConfig

    def further_prompts(self, rollout: int, attempt: int) -> Sequence[Prompt]: ...
    def exchange(
        self,
        effective: ExperienceBatch,
        *,
        num_sampled: int,
        rollout: int,
        policy_version: int,
        solved_uids: Tensor,
    ) -> list[ExperienceBatch]: ...
    def prompt(self, split: str, uid: int) -> Prompt: ...


PairBatch = PairTicket | list[PreferencePair]


class PairData(Protocol):
    """What MPO needs: pairs, and where they lie."""

    refresh_every: int | None
    """Training steps between two rollouts that build new pairs; None: the pairs never change."""

    @property
    def pairs_folder(self) -> Path: ...
    @property
    def known_pairs(self) -> Sequence[PreferencePair]: ...
    @property
    def kept_fraction(self) -> float: ...
    def pairs_of(self, batch: Any) -> Sequence[PreferencePair]: ...


class OnlinePairData(PairData, Protocol):
    """What MPO needs in addition where pairs are built from rollouts."""

    selection: PairSelection
    score_part: str

    @property
    def wants_dropout_ntp(self) -> bool: ...
    def refresh(self, phase: RolloutPhase, blind: Sequence[PreferencePair], number: int) -> dict[str, float]: ...
