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

import torch
from torch import Tensor

from algorithms import (
    ClaimGrammar,
    Completion,
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
from lightning_modules.evaluation import Evaluation, EvaluationConfig
from lightning_modules.policy_module import OptimizerConfig, PolicyModule
from lightning_modules.rollout_log import batch_metrics, rollout_metrics
from models import PolicySource
from rewards import RewardTable, WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, collect, gather_ranks, own_state
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


class GRPOModule(PolicyModule):
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
        super().__init__(policy, trainable, optimizer)
        check_group_size(group_size)
        if "accuracy" not in reward.parts:
            raise ConfigError(
                f"model.reward.parts must have a part named 'accuracy', got {sorted(reward.parts)}: "
                "it is what validation reports as accuracy. Give it weight 0 to leave it out of the training reward."
            )
        self.engine, self.reward = engine, reward
        self.sampling, self.grpo, self.claims = sampling, grpo, claims
        self.group_size, self.scale_by_std, self.seed = group_size, scale_by_std, seed
        self.evaluation_config = evaluation
        self.evaluation = Evaluation(evaluation, claims)
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
        phase = self.roll_out(batch.prompts, batch.rollout)
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

    def roll_out(self, prompts: Sequence[Prompt], rollout: int) -> RolloutPhase:
        """Sample groups for the prompts, score them and compute advantages."""
        self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
        with self.trainer.precision_plugin.forward_context():
            return collect(
                self.engine,
                prompts,
                self.reward,
                lambda rewards: group_relative_advantages(rewards, scale_by_std=self.scale_by_std),
                group_size=self.group_size,
                sampling=self.sampling,
                seed=position_seed(self.seed, "rollout", rollout, self.global_rank),
                policy_version=self.trainer.global_step,
            )

    def training_step(self, batch: Ticket, batch_idx: int) -> Tensor:
        """Return the surrogate loss of one micro-batch."""
        samples = self.micro_batches[batch.micro]
        if len(samples) == 0:
            # Nothing to learn here, but every rank must take part in backward.
            return sum((p.sum() * 0.0 for p in self.parameters() if p.requires_grad), torch.tensor(0.0))
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

    # --- evaluation -----------------------------------------------------------------------------------------

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int) -> None:
        """Sample, score and judge a batch of held-out prompts."""
        self._evaluate(batch, batch_idx)

    def test_step(self, batch: Sequence[Prompt], batch_idx: int) -> None:
        """As validation, on the test split."""
        self._evaluate(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self._log_evaluation("test")

    def predict_step(self, batch: Sequence[Prompt], batch_idx: int) -> tuple[list[list[Completion]], RewardTable]:
        """Return sampled completions and their scores."""
        samples = self._sample(batch, batch_idx, self.evaluation_config.num_samples, self.sampling)
        return samples, self._score(batch, samples)

    def _evaluate(self, prompts: Sequence[Prompt], batch_idx: int) -> None:
        num_samples = self.evaluation_config.num_samples
        greedy_sampling = SamplingConfig(temperature=0.0, max_new_tokens=self.sampling.max_new_tokens)
        samples = self._sample(prompts, batch_idx, num_samples, self.sampling)
        greedy = self._sample(prompts, batch_idx, 1, greedy_sampling)
        scores, greedy_scores = self._score(prompts, samples), self._score(prompts, greedy)
        shape = (len(prompts), num_samples)
        self.evaluation.update(
            prompts,
            samples,
            accuracy=_filled(scores.parts["accuracy"]).view(shape),
            greedy_accuracy=_filled(greedy_scores.parts["accuracy"]),
            well_formed=_filled(scores.parts["format"]).view(shape) if "format" in scores.parts else None,
            totals=torch.tensor(scores.totals).view(shape),
        )

    def _sample(
        self, prompts: Sequence[Prompt], batch_idx: int, group_size: int, sampling: SamplingConfig
    ) -> list[list[Completion]]:
        self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
        seed = position_seed(self.evaluation_config.seed, "evaluation", batch_idx, self.global_rank)
        return self.engine.generate(prompts, group_size=group_size, sampling=sampling, seed=seed)

    def _score(self, prompts: Sequence[Prompt], groups: Sequence[Sequence[Completion]]) -> RewardTable:
        repeated = [prompt for prompt, group in zip(prompts, groups, strict=True) for _ in group]
        return self.reward(repeated, [completion for group in groups for completion in group])

    def _log_evaluation(self, split: str) -> None:
        values = {f"{split}/{name}": value for name, value in self.evaluation.compute().items()}
        self.log_dict(values)
        self.evaluation.reset()

    # --- checkpoints ----------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the rollouts in flight, of all ranks."""
        checkpoint["micro_batches"] = gather_ranks([batch.state_dict() for batch in self.micro_batches])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore this rank's rollouts in flight."""
        states = own_state(checkpoint["micro_batches"], self.global_rank, self.trainer.world_size)
        self.micro_batches = [ExperienceBatch(**state) for state in states]


def _filled(scores: Sequence[float | None]) -> Tensor:
    """Scores as a tensor; a score that did not apply or failed counts as 0."""
    return torch.tensor([0.0 if score is None else score for score in scores])
