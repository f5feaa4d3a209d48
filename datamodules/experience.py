"""Experience for GRPO: a stream of tickets, and the exchange that turns a rollout into micro-batches.

    ticket (rollout r, micro-batch m, prompts)  ->  the module rolls out at m = 0  ->  exchange()
    exchange: fresh effective samples + replay for the gap  ->  K micro-batches

The stream holds no state but the number of the next ticket: which prompts belong to a rollout is a pure
function of (seed, rollout, rank). Replay is drawn in ``exchange`` and not with the ticket, because how many
samples are missing is known only after the rollout.
"""

from typing import Any

import torch

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
from datamodules.streams import CountedLoader, ShuffledRows
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

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the ticket stream."""
        prompts = self.prompts["train"]
        rank, world_size = self.rank
        order = ShuffledRows(
            len(prompts), per_batch=self.prompts_per_rollout, seed=self.seed, rank=rank, world_size=world_size
        )

        def ticket(number: int) -> Ticket:
            rollout, micro = divmod(number, self.micro_batches)
            return Ticket(rollout, micro, tuple(prompts[row] for row in order.rows(rollout)))

        return CountedLoader(ticket)

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
        """Restore this rank's buffer, for training; other commands have no use for it."""
        if self.prompts and "train" not in self.prompts:
            return
        self.buffer.load_state_dict(own_state(state_dict["buffers"], *self.rank))
