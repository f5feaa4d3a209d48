"""Experience for GRPO: a stream of tickets, and the exchange that turns a rollout into micro-batches.

    ticket (rollout r, micro-batch m, prompts)  ->  the module rolls out at m = 0  ->  exchange()
    exchange: fresh effective samples + replay for the gap  ->  K micro-batches

The stream holds no state but the number of the next ticket: the prompts of a rollout are a pure function of
(seed, rollout, rank). Replay is drawn in ``exchange`` and not with the ticket, because the number of missing samples
is known only after the rollout.
"""

import logging
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from algorithms import (
    BufferConfig,
    ConfigError,
    DataError,
    ExperienceBatch,
    Prompt,
    SelectiveSampleBuffer,
    Ticket,
    check_at_least,
    placed_in_time,
    position_generator,
)
from datamodules.prompts import PromptDataModule
from datamodules.reading import ReadingConfig
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import Rejection
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.prompt_pool import PromptPool
from datamodules.streams.mixed import MixedRows, row_order
from datamodules.streams.prompt_stream import PromptStream, first_rows
from datamodules.streams.rollout_stream import RolloutStream
from datamodules.streams.shuffled import CountedLoader, ShuffledRows
from datamodules.streams.unusable import reject_unusable_prompts
from rollouts import gather_ranks, state_of_rank

logger = logging.getLogger(__name__)

# Rows of a stream that are checked before the first step.
_ROWS_LOOKED_AT = 64


@runtime_checkable
class SamplesAhead(Protocol):
    """A module that samples rollouts while it learns from earlier ones."""

    rollouts_ahead: int
    """Rollouts that are sampled ahead: 0 or 1."""


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
        reading: ReadingConfig = ReadingConfig(),  # noqa: B008
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            source: where the prompts lie.
            prompts_per_rollout: prompts sampled from in one rollout, per rank.
            micro_batches: training steps that share one rollout; a multiple of trainer.accumulate_grad_batches.
            buffer: settings of the Selective Sample Buffer.
            pool: pass rates by which training prompts are selected; null: all prompts are used.
            seed: seed of prompt order, replay and micro-batch order.
            reading: longest prompt and largest image; batches of validation, test and prediction; reports.
        """
        super().__init__(source, reading)
        check_at_least("data.prompts_per_rollout", prompts_per_rollout, 1, "a rollout samples from prompts")
        check_at_least("data.micro_batches", micro_batches, 1, "a rollout is learned from in at least one step")
        self.prompts_per_rollout = prompts_per_rollout
        self.micro_batches = micro_batches
        self.seed, self.pool = seed, pool
        self.buffer_config = buffer
        self.buffer = SelectiveSampleBuffer(buffer)
        if pool is not None and source.streamed:
            raise ConfigError("data.pool must be null where data.source.streamed is true: a pool lists prompts by row.")
        # By purpose: the order of the ticket stream, and one order for each further attempt of dynamic sampling.
        self._orders: dict[str, ShuffledRows | MixedRows] = {}
        self._streams: dict[str, RolloutStream] = {}

    def setup(self, stage: str) -> None:
        """Read the splits of a stage; of the training prompts keep those that the pool selects.

        Raises:
            ConfigError: when every sample would be too old for its first replay.
        """
        num_rollouts = 2 if isinstance(self.module, SamplesAhead) and self.module.rollouts_ahead else 1
        steps, max_age = num_rollouts * self.steps_per_rollout, self.buffer_config.max_age
        if stage == "fit" and self.buffer_config.capacity and max_age < steps:
            whose = "one rollout" if num_rollouts == 1 else "two rollouts, as one is sampled ahead"
            raise ConfigError(
                f"data.buffer.max_age must be at least {steps}, the optimizer steps of {whose}, got {max_age}: samples "
                "are that old when a later rollout could replay them first. data.buffer.capacity 0 switches replay off."
            )
        super().setup(stage)
        # Only for training: a pool contains training prompts only.
        if self.pool is not None and stage == "fit":
            everything = self.prompts["train"]
            self.prompts["train"] = self.pool.select(everything)
            logger.info("data.pool keeps %d of %d prompts", len(self.prompts["train"]), len(everything))

    def train_dataloader(self) -> CountedLoader:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the ticket stream."""
        check_enough_rows(self.prompts_per_rollout, len(self.prompts["train"]))

        def ticket(number: int) -> Ticket:
            rollout, micro = divmod(number, self.micro_batches)
            # Every ticket carries the prompts: a rank without samples in a micro-batch makes one for the first prompt.
            return Ticket(rollout, micro, self.rollout_prompts(rollout))

        return CountedLoader(ticket)

    def rollout_prompts(self, rollout: int) -> tuple[Prompt, ...]:
        """Return the prompts of a rollout; a streamed source has those of the newest two rollouts only."""
        return self._prompts_of("prompt order", rollout)

    def further_prompts(self, rollout: int, attempt: int) -> tuple[Prompt, ...]:
        """Return prompts for one more attempt of a rollout to fill its batch (dynamic sampling).

        These prompts have an order of their own, so that the ticket stream does not depend on the number of attempts.
        """
        return self._prompts_of(f"prompts of attempt {attempt}", rollout)

    def prompt(self, split: str, uid: int) -> Prompt:
        """Return the prompt with this uid; a streamed source keeps only the prompts that are in use."""
        if split != "train" or not self.source.streamed:
            return super().prompt(split, uid)
        for stream in self._streams.values():
            if (held := stream.held(uid)) is not None:
                return held
        raise DataError(
            f"prompt {uid} of {self.source.split_file('train')} is needed, but its row is not there: a checkpoint can "
            "only be resumed with the data that it was written with."
        )

    def _prompts_of(self, purpose: str, rollout: int) -> tuple[Prompt, ...]:
        # Stream and order are created on first use: before setup the number of prompts is unknown.
        if self.source.streamed:
            return self._stream_of(purpose).prompts(rollout)
        prompts = self.prompts["train"]
        if purpose not in self._orders:
            self._orders[purpose] = self._order_of(purpose, prompts)
        return tuple(prompts[row] for row in self._orders[purpose].rows(rollout))

    def _order_of(self, purpose: str, prompts: Sequence[Prompt]) -> ShuffledRows | MixedRows:
        rank, world_size = self.rank
        return row_order(
            prompts,
            self.source.weights,
            per_batch=self.prompts_per_rollout,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            purpose=purpose,
        )

    def _stream_of(self, purpose: str) -> RolloutStream:
        if purpose not in self._streams:
            self._streams[purpose] = RolloutStream(self._new_stream(purpose), self.prompts_per_rollout)
        return self._streams[purpose]

    def _new_stream(self, purpose: str, window: int = 1024) -> PromptStream:
        rank, world_size = self.rank
        return PromptStream(
            self.source.streamed_parts(max_image_pixels=self.reading.max_image_pixels),
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            window=window,
            purpose=purpose,
            judge=self._asked,
        )

    def _asked(self, prompt: Prompt) -> Prompt | Rejection:
        """Return a streamed prompt with its template, or why the module cannot read it."""
        row = PromptRows((self.reading.template.applied(prompt),), (), 1)
        # Lengths of a stream are not stored: ranks get different prompts, and each is measured when it is read.
        if self.trainer is not None:
            row = reject_unusable_prompts(row, self.reading.max_prompt_tokens, self.module)
        return row.prompts[0] if row.prompts else row.rejections[0]

    def _read(self, split: str) -> PromptRows:
        """Read a split; of a stream only the first rows, to check columns and answers."""
        if split != "train" or not self.source.streamed:
            return super()._read(split)
        parts = self.source.streamed_parts(max_image_pixels=self.reading.max_image_pixels)
        return first_rows(parts, _ROWS_LOOKED_AT)

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

        The effective samples enter the buffer after the draw, so that no sample is used twice in one batch. Replayed
        samples that are too old for the later steps of the rollout go into the earlier steps.

        Args:
            effective: samples with a non-zero advantage.
            num_sampled: samples of a whole rollout, effective or not.
            rollout: number of the rollout.
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
        for stream in self._streams.values():
            stream.keep({*self.buffer.stored.prompt_uids.tolist(), *replay.prompt_uids.tolist()})
        batch = ExperienceBatch.cat([effective, replay])
        order = _groups_shuffled(batch.group_ids, position_generator(self.seed, "micro-batch order", rollout, rank))
        parts = placed_in_time(
            order,
            self._last_steps(batch, policy_version),
            num_parts=self.micro_batches,
            parts_per_step=self.micro_batches // self.steps_per_rollout,
        )
        return [batch.rows(part) for part in parts]

    @property
    def steps_per_rollout(self) -> int:
        """Optimizer steps that learn from one rollout; 1 without a trainer."""
        return 1 if self.trainer is None else max(1, self.micro_batches // self.trainer.accumulate_grad_batches)

    def _last_steps(self, batch: ExperienceBatch, policy_version: int) -> Tensor:
        """Return for each sample the last step of the rollout, from 0, at which it is no older than ``max_age``."""
        left = self.buffer_config.max_age - (policy_version - batch.policy_versions)
        # Fresh samples have no limit: outside of replay they are used in this rollout only.
        return torch.where(batch.is_replay, left, self.steps_per_rollout)

    def state_dict(self) -> dict[str, Any]:
        """Return the buffers of all ranks; a collective call."""
        # Rank 0 writes the checkpoint, but every rank has a buffer of its own.
        streams = {purpose: stream.state_dict() for purpose, stream in self._streams.items()}
        return {"buffers": gather_ranks(self.buffer.state_dict()), "streams": gather_ranks(streams)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore this rank's buffer, for training; other commands do not use it."""
        if not self.is_for_training:
            return
        self.buffer.load_state_dict(state_of_rank(state_dict["buffers"], *self.rank))
        # Checkpoints of earlier versions lack this key.
        streams = state_of_rank(state_dict["streams"], *self.rank) if "streams" in state_dict else {}
        for purpose, state in streams.items():
            self._stream_of(purpose).load_state_dict(state)
        if streams:
            # The checkpoint holds no pictures: the uid of a prompt gives its row, which is read again.
            self._stream_of("prompt order").find(self.buffer.stored.prompt_uids.unique().tolist())


def _groups_shuffled(group_ids: Tensor, generator: torch.Generator) -> Tensor:
    """Return the rows in random order, rows of a group together, so that a micro-batch reads each prompt once.

    Args:
        group_ids: shape (N,).
        generator: draws the order of the groups.
    """
    unique, group = group_ids.unique(return_inverse=True)  # (G,), (N,)
    # (N,): each row gets the random rank of its group; a stable sort keeps the order within a group.
    return torch.randperm(len(unique), generator=generator)[group].argsort(stable=True)


def check_enough_rows(prompts_per_rollout: int, num_rows: int) -> None:
    """Refuse a rollout that would hold a prompt several times.

    Args:
        prompts_per_rollout: prompts of one rollout.
        num_rows: number of training prompts.

    Raises:
        ConfigError: names both numbers.
    """
    if prompts_per_rollout > num_rows:
        raise ConfigError(
            f"data.prompts_per_rollout must be at most the number of training prompts, {num_rows}, got "
            f"{prompts_per_rollout}: a rollout would hold a prompt several times."
        )
