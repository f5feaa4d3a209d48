"""Experience for GRPO: a stream of tickets, and the exchange that turns a rollout into micro-batches.

    ticket (rollout r, micro-batch m, prompts)  ->  the module rolls out at m = 0  ->  exchange()
    exchange: fresh effective samples + replay for the gap  ->  K micro-batches

The stream holds no state but the number of the next ticket: which prompts belong to a rollout is a pure
function of (seed, rollout, rank). Replay is drawn in ``exchange`` and not with the ticket, because how many
samples are missing is known only after the rollout.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from algorithms import (
    BufferConfig,
    ConfigError,
    ExperienceBatch,
    Prompt,
    SelectiveSampleBuffer,
    position_generator,
)
from datamodules.prompt_folder import PromptFolder
from datamodules.prompts import PromptDataModule
from rollouts import gather_ranks, own_state


class Ticket:
    """What the trainer is to do in one training step. No dataclass: Lightning refuses frozen ones in batches."""

    def __init__(self, rollout: int, micro: int, prompts: tuple[Prompt, ...]) -> None:
        """Name the step.

        Args:
            rollout: number of the rollout phase, from 0.
            micro: number of the micro-batch within it; 0 begins with sampling.
            prompts: the prompts of the rollout on this rank.
        """
        self.rollout, self.micro, self.prompts = rollout, micro, prompts


class PromptStream:
    """Endless shuffled passes over a data set; the prompts of a rollout are a pure function of its number."""

    def __init__(self, num_rows: int, *, per_rollout: int, seed: int, rank: int, world_size: int) -> None:
        """Describe the stream.

        Args:
            num_rows: size of the data set.
            per_rollout: prompts of one rollout on one rank.
            seed: seed of the order.
            rank: this process.
            world_size: number of processes; their prompts do not overlap within a pass.
        """
        self.num_rows, self.per_rollout, self.seed = num_rows, per_rollout, seed
        self.rank, self.world_size = rank, world_size
        self._orders: dict[int, Tensor] = {}

    def rows(self, rollout: int) -> list[int]:
        """Return the rows of a rollout."""
        first = (rollout * self.world_size + self.rank) * self.per_rollout
        return [self._row(position) for position in range(first, first + self.per_rollout)]

    def _row(self, position: int) -> int:
        epoch, place = divmod(position, self.num_rows)
        if epoch not in self._orders:
            generator = position_generator(self.seed, "prompt order", epoch)
            # A rollout touches two passes at most.
            self._orders = {k: v for k, v in self._orders.items() if k == epoch - 1}
            self._orders[epoch] = torch.randperm(self.num_rows, generator=generator)
        return int(self._orders[epoch][place])


class TicketLoader:
    """Sized, without workers, and its whole state is a counter.

    Sized because Lightning runs one batch ahead of a loader without length, and every rollout would be made
    with weights one update old.
    """

    def __init__(self, stream: PromptStream, prompts: Any, *, micro_batches: int, num_tickets: int) -> None:
        """Describe the tickets; ``prompts[row]`` must return a prompt."""
        self.stream, self.prompts, self.micro_batches = stream, prompts, micro_batches
        self.num_tickets = num_tickets
        self.next_ticket = 0

    def __len__(self) -> int:
        return self.num_tickets

    def __iter__(self) -> Iterator[Ticket]:
        while True:
            rollout, micro = divmod(self.next_ticket, self.micro_batches)
            # Before the yield: a checkpoint written during the step must already point past it.
            self.next_ticket += 1
            yield Ticket(rollout, micro, tuple(self.prompts[row] for row in self.stream.rows(rollout)))

    def state_dict(self) -> dict[str, int]:
        """Return the counter."""
        return {"next_ticket": self.next_ticket}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue at the counter."""
        self.next_ticket = state["next_ticket"]


class ExperienceDataModule(PromptDataModule):
    """Streams prompts to roll out and owns the buffer that mixes old samples into new batches."""

    def __init__(
        self,
        source: PromptFolder,
        prompts_per_rollout: int = 32,
        micro_batches: int = 4,
        buffer: BufferConfig = BufferConfig(),  # noqa: B008  (frozen)
        seed: int = 0,
        batch_size: int = 64,
        max_prompt_tokens: int | None = None,
        max_image_pixels: int = 50_000_000,
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            source: where the prompts lie.
            prompts_per_rollout: prompts sampled from in one rollout, per rank.
            micro_batches: training steps that share one rollout; a multiple of trainer.accumulate_grad_batches.
            buffer: settings of the Selective Sample Buffer.
            seed: seed of prompt order, replay and micro-batch order.
            batch_size: prompts per batch of validation, test and prediction.
            max_prompt_tokens: longest prompt that is kept, image tokens expanded; null keeps all.
            max_image_pixels: largest width times height of an image.
        """
        super().__init__(source, batch_size, max_prompt_tokens, max_image_pixels)
        for key, value in (("prompts_per_rollout", prompts_per_rollout), ("micro_batches", micro_batches)):
            if value < 1:
                raise ConfigError(f"data.{key} must be at least 1, got {value}.")
        self.prompts_per_rollout = prompts_per_rollout
        self.micro_batches = micro_batches
        self.seed = seed
        self.buffer = SelectiveSampleBuffer(buffer)

    @property
    def rank(self) -> tuple[int, int]:
        """This process and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def train_dataloader(self) -> TicketLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the ticket stream."""
        rank, world_size = self.rank
        stream = PromptStream(
            len(self.prompts["train"]),
            per_rollout=self.prompts_per_rollout,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        # One endless epoch; trainer.max_steps ends the run.
        return TicketLoader(stream, self.prompts["train"], micro_batches=self.micro_batches, num_tickets=10**9)

    def exchange(self, fresh: ExperienceBatch, *, rollout: int, policy_version: int) -> list[ExperienceBatch]:
        """Return the micro-batches of a rollout: its effective samples, and replay up to its size.

        The fresh effective samples enter the buffer after the draw, so that none is used twice in one batch.
        """
        rank = self.rank[0]
        effective = fresh.rows(fresh.advantages != 0.0)
        self.buffer.forget_stale(policy_version)
        generator = position_generator(self.seed, "replay", rollout, rank)
        replay = self.buffer.draw(len(fresh) - len(effective), generator=generator)
        self.buffer.add(effective)
        batch = ExperienceBatch.cat([effective, replay])
        order = torch.randperm(len(batch), generator=position_generator(self.seed, "micro-batch order", rollout, rank))
        return [batch.rows(part) for part in order.tensor_split(self.micro_batches)]

    def state_dict(self) -> dict[str, Any]:
        """Return the buffers of all ranks; a collective call."""
        return {"buffers": gather_ranks(self.buffer.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore this rank's buffer."""
        self.buffer.load_state_dict(own_state(state_dict["buffers"], *self.rank))
