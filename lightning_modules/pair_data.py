"""What MPO needs of its data module: pairs, and where they are built from rollouts the exchange with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from algorithms import PairSelection, PreferencePair, Prompt
from rollouts import RolloutPhase


class PairTicket(Protocol):
    """What a data module hands out for one training step when pairs are built from rollouts."""

    @property
    def refresh(self) -> int | None: ...
    @property
    def prompts(self) -> Sequence[Prompt]: ...


Batch = PairTicket | list[PreferencePair]


class PairData(Protocol):
    """What this module needs of its data module."""

    @property
    def pairs_folder(self) -> Path: ...
    @property
    def known_pairs(self) -> Sequence[PreferencePair]: ...
    @property
    def kept_fraction(self) -> float: ...
    def pairs_of(self, batch: Any) -> Sequence[PreferencePair]: ...


class OnlinePairData(PairData, Protocol):
    """What it needs besides when pairs are built from rollouts."""

    selection: PairSelection
    score_part: str

    @property
    def wants_dropout_ntp(self) -> bool: ...
    def refresh(self, phase: RolloutPhase, blind: Sequence[PreferencePair], number: int) -> dict[str, float]: ...
