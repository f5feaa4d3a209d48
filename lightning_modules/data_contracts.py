"""Protocols of the data modules, for the training modules, which may not import their classes.

Shapes: P prompts, K micro-batches of a rollout.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class PromptColumns(Protocol):
    """A data module of prompts. User rewards read the columns of its prompts, benchmarks check their form."""

    prompts: Mapping[str, Sequence[Prompt]]
    """The prompts that were read so far, by split."""

    @property
    def column_names(self) -> Collection[str]:
        """Names of all columns of the data set; a single prompt may lack some of them."""
        ...


class ExperienceSource(Protocol):
    """The data module of GRPO: prompts, and the exchange of a rollout for micro-batches."""

    prompts_per_rollout: int
    """P, on each rank."""

    micro_batches: int
    """K: training steps that share one rollout."""

    buffer: SelectiveSampleBuffer
    buffer_config: BufferConfig

    def rollout_prompts(self, rollout: int) -> Sequence[Prompt]:
        """Return the P prompts of a rollout, also before its first ticket is handed out."""
        ...

    def further_prompts(self, rollout: int, attempt: int) -> Sequence[Prompt]:
        """Return P prompts for one more attempt to fill the batch of a rollout (dynamic sampling)."""
        ...

    # Called after the rollout, because the number of missing samples is known only then.
    def exchange(
        self,
        effective: ExperienceBatch,
        *,
        num_sampled: int,
        rollout: int,
        policy_version: int,
        solved_uids: Tensor,
    ) -> list[ExperienceBatch]:
        """Return K micro-batches made of the effective samples of a rollout and of replay.

        Args:
            effective: samples whose advantage is not 0.
            num_sampled: samples of the whole rollout, effective or not.
            rollout: number of the rollout.
            policy_version: optimizer steps so far.
            solved_uids: prompts whose completions are all right.
        """
        ...

    def prompt(self, split: str, uid: int) -> Prompt:
        """Return the prompt of a stored sample."""
        ...


# A ticket when pairs are built from rollouts; the pairs themselves when they come from files.
PairBatch = PairTicket | list[PreferencePair]


class PairData(Protocol):
    """The data module of MPO, which has pairs."""

    # Checked before training: no rollout may come between accumulated micro-batches.
    refresh_every: int | None
    """Training steps between two rollouts that build new pairs; None: the pairs never change."""

    @property
    def notes_folder(self) -> Path:
        """Folder for caches about the pairs."""
        ...

    @property
    def known_pairs(self) -> Sequence[PreferencePair]:
        """All pairs of training and validation that are known before training."""
        ...

    # Properties, because pairs are read or built after the data module is created.
    @property
    def kept_fraction(self) -> float:
        """Share of the usable pairs that have a wanted kind and a margin of at least the threshold."""
        ...

    def pairs_of(self, batch: PairBatch) -> Sequence[PreferencePair]:
        """Return the pairs of a training or validation batch."""
        ...


class OnlinePairData(PairData, Protocol):
    """The data module of iterative MPO, which builds pairs from rollouts."""

    # Checked before training: the module's reward must have the part from which pairs get their scores.
    selection: PairSelection
    score_part: str
    """Name of the reward part that is the preference reward model."""

    @property
    def wants_dropout_ntp(self) -> bool:
        """Whether the data module needs DropoutNTP pairs, whose rejected completion was continued without images."""
        ...

    def refresh(self, phase: RolloutPhase, blind: Sequence[PreferencePair], number: int) -> dict[str, float]:
        """Build pairs from a rollout in place of the old pairs; return values for the log.

        Args:
            phase: the scored rollout.
            blind: DropoutNTP pairs of the rollout.
            number: number of the rollout.
        """
        ...
