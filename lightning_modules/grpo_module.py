"""GRPO with a Selective Sample Buffer (R1V2, arXiv:2504.16656, section 3.3).

    prompts (P) -> rollouts (P, G) -> rewards (P, G) -> advantages (P, G) -> exchange -> K micro-batches
    each micro-batch (B) -> policy log-probs (B, T) -> loss -> backward

The data module streams prompts and owns the buffer; this module samples and learns; callbacks watch through
``on_rollout_end(trainer, module, phase)``. Optimization is Lightning's own: accumulation, clipping, precision
and checkpoints work as everywhere.

Shapes: P prompts, G completions per prompt, B samples of a micro-batch, T completion tokens, V vocabulary.
"""

import time
from collections.abc import Sequence
from typing import Any, Protocol, cast

from torch import Tensor

from algorithms import (
    ClaimGrammar,
    ConfigError,
    ExperienceBatch,
    GRPOConfig,
    Prompt,
    TokenScores,
    group_relative_advantages,
    grpo_loss,
    position_seed,
    stack_rollouts,
)
from lightning_modules.evaluation import EvaluationConfig
from lightning_modules.policy_module import OptimizerConfig
from lightning_modules.rollout_log import batch_metrics, rollout_metrics
from lightning_modules.rollout_module import RolloutModule
from models import PolicySource
from rewards import WeightedReward
from rollouts import RolloutEngine, SamplingConfig, gather_ranks, own_state
from rollouts.collector import check_group_size


class Ticket(Protocol):
    """What the data module hands out for one training step."""

    @property
    def rollout(self) -> int: ...
    @property
    def micro(self) -> int: ...
    @property
    def prompts(self) -> Sequence[Prompt]: ...


class ExperienceSource(Protocol):
    """What this module needs of its data module."""

    prompts_per_rollout: int
    micro_batches: int

    def exchange(self, fresh: ExperienceBatch, *, rollout: int, policy_version: int) -> list[ExperienceBatch]: ...
    def prompt(self, split: str, uid: int) -> Prompt: ...


class GRPOModule(RolloutModule):
    """Samples, scores and learns."""

    def __init__(
        self,
        policy: PolicySource,
        trainable: list[str],
        optimizer: OptimizerConfig,
        engine: RolloutEngine,
        reward: WeightedReward,
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008  (frozen)
        grpo: GRPOConfig = GRPOConfig(),  # noqa: B008
        evaluation: EvaluationConfig = EvaluationConfig(),  # noqa: B008
        claims: ClaimGrammar | None = None,
        group_size: int = 8,
        scale_by_std: bool = True,
        seed: int = 0,
    ) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            trainable: parts that learn, any of ``vision_tower``, ``adapter``, ``language_model``.
            optimizer: learning rate and schedule.
            engine: what samples completions.
            reward: what scores them; its part ``accuracy`` is what evaluation reports.
            sampling: temperature and longest completion.
            grpo: clip bounds of the surrogate.
            evaluation: what validation and test measure.
            claims: how to find claims about the image in a text; null judges none.
            group_size: completions per prompt.
            scale_by_std: divide advantages by the standard deviation of their group.
            seed: seed of all sampling.
        """
        super().__init__(policy, engine, reward, trainable, optimizer, sampling, evaluation, claims, group_size, seed)
        check_group_size(group_size)
        self.grpo, self.scale_by_std = grpo, scale_by_std
        self.micro_batches: list[ExperienceBatch] = []

    @property
    def experience(self) -> ExperienceSource:
        """The data module."""
        return cast(ExperienceSource, self.trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]

    # --- training -------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Refuse settings of data and trainer that do not fit together."""
        micro_batches = self.experience.micro_batches
        accumulate = self.trainer.accumulate_grad_batches
        if micro_batches % accumulate:
            raise ConfigError(
                f"data.micro_batches must be a multiple of trainer.accumulate_grad_batches, got {micro_batches} "
                f"and {accumulate}: an optimizer step may not mix two rollouts."
            )

    def on_train_batch_start(self, batch: Ticket, batch_idx: int) -> None:
        """Roll out before the first micro-batch of a rollout."""
        if batch.micro != 0:
            return
        # Lightning frees gradients only after the next forward; they need not live through the sampling.
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad(set_to_none=True)
        started = time.perf_counter()
        phase = self.roll_out(
            batch.prompts,
            seed=position_seed(self.seed, "rollout", batch.rollout, self.global_rank),
            advantage=lambda rewards: group_relative_advantages(rewards, scale_by_std=self.scale_by_std),
        )
        fresh = stack_rollouts(phase.rollouts)
        self.micro_batches = self.experience.exchange(
            fresh, rollout=batch.rollout, policy_version=self.trainer.global_step
        )
        seconds = time.perf_counter() - started
        self.log_dict(rollout_metrics(phase, self.claims, seconds=seconds), batch_size=1)
        self.log_dict(batch_metrics(self.micro_batches, self.trainer.global_step), batch_size=1)
        for callback in self.trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
            if hook := getattr(callback, "on_rollout_end", None):
                hook(self.trainer, self, phase)

    def training_step(self, batch: Ticket, batch_idx: int) -> Tensor:
        """Return the surrogate loss of one micro-batch."""
        samples = self.micro_batches[batch.micro]
        if len(samples) == 0:
            # Nothing to learn here, but every rank must take part in backward.
            return self.zero_loss()
        scores = self.completion_scores(samples)  # (B, T)
        out = grpo_loss(
            scores.logps,
            samples.behavior_logps.to(self.device),
            samples.advantages.to(self.device),
            samples.is_completion.to(self.device),
            num_samples=self.samples_per_micro_batch,
            config=self.grpo,
        )
        self._log_step(samples, out, scores.entropies)
        return out.loss

    @property
    def samples_per_micro_batch(self) -> int:
        """N of the loss: the share of one micro-batch in the rollout's size, whatever it was filled with.

        Lightning averages over accumulated micro-batches and over ranks, which makes it the whole step's mean.
        """
        return max(1, self.experience.prompts_per_rollout * self.group_size // self.experience.micro_batches)

    def completion_scores(self, samples: ExperienceBatch) -> TokenScores:
        """Return log-probs and entropies (B, T) of stored samples, each prompt read once for its group."""
        uids, rows = samples.prompt_uids.unique(return_inverse=True)
        prompts = [self.experience.prompt("train", uid) for uid in uids.tolist()]
        return self.loaded_policy.completion_scores(
            prompts, rows, samples.completion_ids, samples.is_completion, temperature=self.sampling.temperature
        )

    def _log_step(self, samples: ExperienceBatch, out: Any, entropies: Tensor) -> None:
        is_completion = samples.is_completion.to(self.device)
        values = {
            "train/loss": out.loss.detach(),
            "train/entropy": entropies[is_completion].mean(),
        }
        for name, rows in (("fresh", ~samples.is_replay), ("replay", samples.is_replay)):
            if rows.any():
                values[f"train/clipped_fraction_{name}"] = out.clipped_fraction[rows.to(self.device)].mean()
                values[f"train/log_ratio_{name}"] = out.log_ratio[rows.to(self.device)].mean()
        self.log_dict(values, batch_size=len(samples))

    # --- checkpoints ----------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the rollouts in flight, of all ranks."""
        checkpoint["micro_batches"] = gather_ranks([batch.state_dict() for batch in self.micro_batches])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore this rank's rollouts in flight."""
        states = own_state(checkpoint["micro_batches"], self.global_rank, self.trainer.world_size)
        self.micro_batches = [ExperienceBatch(**state) for state in states]
