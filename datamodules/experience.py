"""Experience for GRPO: a stream of tickets, and the exchange that turns a rollout into micro-batches.

    ticket (rollout r, micro-batch m, prompts)  ->  the module rolls out at m = 0  ->  exchange()
    exchange: fresh effective samples + replay for the gap  ->  K micro-batches

The stream holds no state but the number of the next ticket: which prompts belong to a rollout is a pure
function of (seed, rollout, rank). Replay is drawn in ``exchange`` and not with the ticket, because how many
samples are missing is known only after the rollout.
"""

import logging
from typing import Any

import torch
from torch import Tensor

from algorithms import (
    BufferConfig,
    ConfigError,
    ExperienceBatch,
    Prompt,
    SelectiveSampleBuffer,
    Ticket,
    position_generator,
)
from datamodules.prompts import PromptDataModule
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.prompt_pool import PromptPool
from datamodules.streams.shuffled import CountedLoader, ShuffledRows
from rollouts import gather_ranks, own_state

logger = logging.getLogger(__name__)


class ExperienceDataModule(PromptDataModule):
    """Streams prompts to roll out and owns the buffer that mixes old samples into new batches."""

    def __init__(
        self,
        source: PromptFolder,
        prompts_per_rollout: int = 32,
        micro_batches: int = 4,
        buffer: BufferConfig = BufferConfig(),  # noqa: B008  (frozen)
        pool: PromptPool | None = None,
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
            pool: pass rates of the training prompts, which say on which of them to train; null: all.
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
        self.seed, self.pool = seed, pool
        self.buffer_config = buffer
        self.buffer = SelectiveSampleBuffer(buffer)
        self._orders: dict[str, ShuffledRows] = {}

    def setup(self, stage: str) -> None:
        """Read the splits of a stage; of the training prompts keep what the pool keeps."""
        super().setup(stage)
        if self.pool is not None and stage == "fit":
            everything = self.prompts["train"]
            self.prompts["train"] = self.pool.select(everything)
            logger.info("data.pool keeps %d of %d prompts", len(self.prompts["train"]), len(everything))

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the ticket stream."""

        def ticket(number: int) -> Ticket:
            rollout, micro = divmod(number, self.micro_batches)
            return Ticket(rollout, micro, self._prompts_of("prompt order", rollout))

        return CountedLoader(ticket)

    def further_prompts(self, rollout: int, attempt: int) -> tuple[Prompt, ...]:
        """Return prompts for one more attempt of a rollout to fill its batch (dynamic sampling).

        They come from an order of their own, so that where the stream stands does not depend on what was sampled.
        """
        return self._prompts_of(f"prompts of attempt {attempt}", rollout)

    def _prompts_of(self, purpose: str, rollout: int) -> tuple[Prompt, ...]:
        prompts = self.prompts["train"]
        if purpose not in self._orders:
            rank, world_size = self.rank
            self._orders[purpose] = ShuffledRows(
                len(prompts),
                per_batch=self.prompts_per_rollout,
                seed=self.seed,
                rank=rank,
                world_size=world_size,
                purpose=purpose,
            )
        return tuple(prompts[row] for row in self._orders[purpose].rows(rollout))

    def exchange(
        self,
        effective: ExperienceBatch,
        *,
        num_sampled: int,
        rollout: int,
        policy_version: int,
        solved_uids: Tensor,
    ) -> list[ExperienceBatch]:
        """Return the micro-batches of a rollout: its effective samples, and replay.

        The effective samples enter the buffer after the draw, so that none is used twice in one batch.

        Args:
            effective: samples with a non-zero advantage.
            num_sampled: samples of a whole rollout, effective or not.
            rollout: its number.
            policy_version: optimizer steps so far.
            solved_uids: prompts that have become all right.
        """
        rank = self.rank[0]
        self.buffer.forget_stale(policy_version)
        if self.buffer_config.retire_solved:
            self.buffer.retire(solved_uids)
        num_replay = self.buffer_config.num_replay(num_fresh=num_sampled, num_effective=len(effective))
        replay = self.buffer.draw(num_replay, generator=position_generator(self.seed, "replay", rollout, rank))
        self.buffer.add(effective)
        batch = ExperienceBatch.cat([effective, replay])
        order = _groups_shuffled(batch.group_ids, position_generator(self.seed, "micro-batch order", rollout, rank))
        return [batch.rows(part) for part in order.tensor_split(self.micro_batches)]

    def state_dict(self) -> dict[str, Any]:
        """Return the buffers of all ranks; a collective call."""
        return {"buffers": gather_ranks(self.buffer.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore this rank's buffer, for training; other commands have no use for it."""
        if self.prompts and "train" not in self.prompts:
            return
        self.buffer.load_state_dict(own_state(state_dict["buffers"], *self.rank))


def _groups_shuffled(group_ids: Tensor, generator: torch.Generator) -> Tensor:
    """Return the rows in random order, but those of a group together: they share the reading of their prompt."""
    unique, group = group_ids.unique(return_inverse=True)
    return torch.randperm(len(unique), generator=generator)[group].argsort(stable=True)
