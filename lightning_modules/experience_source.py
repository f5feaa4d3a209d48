"""What GRPO needs of its data module: tickets, and the exchange of a rollout for micro-batches."""

from collections.abc import Sequence
from typing import Protocol

from algorithms import BufferConfig, ExperienceBatch, Prompt, SelectiveSampleBuffer


class Ticket(Protocol):
    """What the data module hands out for one training step."""

    @property
    def rollout(self) -> int: ...
    @property
    def micro(self) -> int: ...
    @property
    def prompts(self) -> Sequence[Prompt]: ...


class ExperienceSource(Protocol):
    """What the module asks for."""

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
        solved_uids: Sequence[int] = (),
    ) -> list[ExperienceBatch]: ...
    def prompt(self, split: str, uid: int) -> Prompt: ...
