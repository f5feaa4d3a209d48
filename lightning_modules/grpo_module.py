"""GRPO with a Selective Sample Buffer (R1V2, arXiv:2504.16656, section 3.3).

    prompts (P) -> rollouts (P, G) -> rewards (P, G) -> advantages (P, G) -> exchange -> K micro-batches
    each micro-batch (B) -> policy log-probs (B, T) -> loss -> backward

The data module streams prompts and owns the buffer; this module samples and learns; callbacks watch through
``on_rollout_end(trainer, module, phase)``. Optimization is Lightning's own: accumulation, clipping, precision
and checkpoints work as everywhere.

Shapes: P prompts, G completions per prompt, B samples of a micro-batch, T completion tokens, V vocabulary.
"""

import time
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from algorithms import (
    AdvantageConfig,
    Completion,
    ConfigError,
    ExperienceBatch,
    GRPOConfig,
    Prompt,
    Rollout,
    StepSize,
    TokenScores,
    group_relative_advantages,
    grpo_loss,
    position_seed,
    stack_rollouts,
)
from hallucination import ClaimGrammar
from lightning_modules.evaluation import EvaluationConfig
from lightning_modules.experience_source import ExperienceSource, Ticket
from lightning_modules.policy_module import OptimizerConfig
from lightning_modules.reference import FrozenCopyReference, PolicyReference, Start
from lightning_modules.rollout_log import batch_metrics, engine_metrics, mismatch_metrics, rollout_metrics, step_metrics
from lightning_modules.rollout_module import RolloutModule
from lightning_modules.strategy import sharding_of
from models import LoRAConfig, Policy, PolicySource, is_sharded
from rewards import WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, gather_ranks, own_state
from rollouts.phase import check_group_size


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
        advantage: AdvantageConfig = AdvantageConfig(),  # noqa: B008
        grpo: GRPOConfig = GRPOConfig(),  # noqa: B008
        reference: PolicyReference | None = None,
        lora: LoRAConfig | None = None,
        recompute_activations: bool = False,
        evaluation: EvaluationConfig = EvaluationConfig(),  # noqa: B008
        claims: ClaimGrammar | None = None,
        group_size: int = 8,
        max_attempts: int = 1,
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
            advantage: how rewards become advantages.
            grpo: the objective.
            reference: how the reference of the KL penalty is kept; null: ``FrozenCopyReference`` where
                ``grpo.kl_weight`` is above 0, else none.
            lora: low-rank updates that learn besides; null adds none.
            recompute_activations: keep little for backward and compute the rest again, for memory.
            evaluation: what validation and test measure.
            claims: how to find claims about the image in a text; null judges none.
            group_size: completions per prompt.
            max_attempts: most times to sample further prompts until ``prompts_per_rollout`` groups are effective
                (dynamic sampling, DAPO); 1 samples once and takes what comes.
            seed: seed of all sampling.
        """
        super().__init__(
            policy, engine, reward, trainable, optimizer, sampling, evaluation, claims, group_size, seed, lora,
            recompute_activations,
        )  # fmt: skip
        check_group_size(group_size)
        if max_attempts < 1:
            raise ConfigError(f"model.max_attempts must be at least 1, got {max_attempts}; 1 samples once.")
        self.grpo, self.advantage, self.max_attempts = grpo, advantage, max_attempts
        self.reference = (reference or FrozenCopyReference()) if grpo.kl_weight else None
        self.micro_batches: list[ExperienceBatch] = []
        self.num_completions = 0

    @property
    def experience(self) -> ExperienceSource:
        """The data module."""
        return cast(ExperienceSource, self.trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]

    # --- training -------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Refuse settings of data and trainer that do not fit together, and get the reference ready."""
        super().on_fit_start()
        micro_batches = self.experience.micro_batches
        accumulate = self.trainer.accumulate_grad_batches
        if micro_batches % accumulate:
            raise ConfigError(
                f"data.micro_batches must be a multiple of trainer.accumulate_grad_batches, got {micro_batches} "
                f"and {accumulate}: an optimizer step may not mix two rollouts."
            )
        if self.reference is not None:
            convert = self.trainer.precision_plugin.convert_module
            sharding = sharding_of(self.trainer)
            self.reference.prepare(Start.without_pairs(self.policy_source, self.loaded_policy, convert, sharding))

    def on_train_batch_start(self, batch: Ticket, batch_idx: int) -> None:
        """Roll out before the first micro-batch of a rollout."""
        if batch.micro != 0:
            return
        # Lightning frees gradients only after the next forward; they need not live through the sampling.
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad(set_to_none=True)
        started = time.perf_counter()
        phase = self._sample_groups(batch)
        self.num_completions += len(phase.rollouts) * self.trainer.world_size
        self.micro_batches = self.experience.exchange(
            self._learnable(phase),
            num_sampled=len(batch.prompts) * self.group_size,
            rollout=batch.rollout,
            policy_version=self.trainer.global_step,
            solved_uids=phase.solved_uids(),
        )
        seconds = time.perf_counter() - started
        values = rollout_metrics(phase, self.claims, tolerance=self.advantage.tolerance, seconds=seconds)
        values |= batch_metrics(self.micro_batches, self.trainer.global_step) | engine_metrics(self.engine)
        values |= {
            "buffer/held": float(len(self.experience.buffer)),
            "rollout/completions_so_far": float(self.num_completions),
        }
        self.log_dict(values, batch_size=1)
        for callback in self.trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
            if hook := getattr(callback, "on_rollout_end", None):
                hook(self.trainer, self, phase)

    def training_step(self, batch: Ticket, batch_idx: int) -> Tensor:
        """Return the loss of one micro-batch."""
        self.engine.release()
        samples = self.micro_batches[batch.micro]
        if is_idle := len(samples) == 0:
            # Nothing to learn here, but every rank must take part in forward and backward.
            samples = self._made_up(batch.prompts[0])
        samples = samples.to(self.device)
        scores = self.completion_scores(self.loaded_policy, samples)  # (B, T)
        out = grpo_loss(
            scores.logps,
            samples,
            size=self.step_size(batch.micro),
            config=self.grpo,
            reference_logps=self.reference_logps(samples),
            entropies=scores.entropies,
        )
        if is_idle:
            return self.reaching(out.loss * 0.0)
        values = step_metrics(samples, out, scores.entropies, self.grpo)
        if samples.engine_logps is None:
            # Before the first update the learner's weights are still the engine's.
            values |= mismatch_metrics(samples, scores.logps, where=self._is_as_sampled(samples))
        self.log_dict(values, batch_size=len(samples))
        return self.reaching(out.loss)

    def _made_up(self, prompt: Prompt) -> ExperienceBatch:
        """Return a sample that says nothing, for a rank without samples whom others wait for."""
        end = torch.tensor([self.loaded_policy.end_token_id])
        said = Completion(token_ids=end, behavior_logps=torch.zeros(1), text="", finish_reason="stop")
        rollout = Rollout(
            prompt_uid=prompt.uid, completion=said, policy_version=0, reward_parts={}, reward=0.0, advantage=0.0
        )
        samples = stack_rollouts([rollout])
        return samples if self.grpo.engine_ratio_cap is None else samples.with_columns(engine_logps=torch.zeros(1, 1))

    def _is_as_sampled(self, samples: ExperienceBatch) -> Tensor:
        """Return which samples (B) the present weights have sampled."""
        return ~samples.is_replay & (samples.policy_versions == self.trainer.global_step)

    def _sample_groups(self, ticket: Ticket) -> RolloutPhase:
        """Sample, and with dynamic sampling further prompts until enough groups are effective on every rank."""
        phase = self._attempt(ticket, 0)
        for attempt in range(1, self.max_attempts):
            is_enough = len(phase.effective_groups) >= len(ticket.prompts)
            if self.trainer.strategy.reduce_boolean_decision(is_enough, all=True):
                break
            phase = phase.joined(self._attempt(ticket, attempt))
        return phase

    def _attempt(self, ticket: Ticket, attempt: int) -> RolloutPhase:
        place = (ticket.rollout * self.trainer.world_size + self.global_rank) * self.max_attempts + attempt
        advantage = partial(_advantages, config=self.advantage)
        return self.roll_out(
            self.experience.further_prompts(ticket.rollout, attempt) if attempt else ticket.prompts,
            seed=position_seed(self.seed, "rollout", ticket.rollout, self.global_rank, attempt),
            advantage=advantage,
            first_group=place * self.experience.prompts_per_rollout,
        )

    def _learnable(self, phase: RolloutPhase) -> ExperienceBatch:
        """Return the effective samples, no more groups than were asked for."""
        groups = phase.effective_groups[: self.experience.prompts_per_rollout]
        rollouts = [rollout for group in groups for rollout in group.rollouts if rollout.advantage != 0.0]
        if self.grpo.mask_truncated:
            rollouts = [rollout for rollout in rollouts if rollout.completion.finish_reason != "length"]
        return self._scored_by_learner(stack_rollouts(rollouts), self._made_up(phase.groups[0].prompt))

    @torch.no_grad()
    def _scored_by_learner(self, samples: ExperienceBatch, made_up: ExperienceBatch) -> ExperienceBatch:
        """Return samples whose ratios are taken against the learner's own log-probs, the engine's kept apart."""
        if self.grpo.engine_ratio_cap is None:
            return samples
        parts = torch.arange(len(samples)).tensor_split(self.experience.micro_batches)
        scored: list[Tensor] = []
        with self.trainer.precision_plugin.forward_context():
            for part in parts:
                if len(part):
                    scored.append(self.completion_scores(self.loaded_policy, samples.rows(part)).logps.cpu())
                elif is_sharded(self.loaded_policy):
                    # Ranks that share weights read equally often.
                    self.completion_scores(self.loaded_policy, made_up)
        if not scored:
            return samples
        longest = samples.completion_ids.shape[1]
        logps = torch.cat([torch.nn.functional.pad(s, (0, longest - s.shape[1])) for s in scored])
        self.log_dict(mismatch_metrics(samples, logps, where=self._is_as_sampled(samples)), batch_size=1)
        return samples.with_columns(behavior_logps=logps, engine_logps=samples.behavior_logps)

    def step_size(self, micro: int) -> StepSize:
        """Return what a micro-batch's loss is divided by: its share in the optimizer step it belongs to.

        Samples are counted as if every one of a rollout were effective, whatever the batch was filled with; tokens as
        those samples would have on average. Lightning averages over accumulated micro-batches and over ranks, which
        makes it the whole step's mean.
        """
        config, experience = self.experience.buffer_config, self.experience
        num_sampled = experience.prompts_per_rollout * self.group_size
        num_samples = max(1.0, config.full_batch(num_sampled) / experience.micro_batches)
        tokens_per_sample = 1.0
        if self.grpo.needs_token_count:
            accumulate: int = self.trainer.accumulate_grad_batches  # pyright: ignore[reportAttributeAccessIssue]
            first = micro - micro % accumulate
            step = self.micro_batches[first : first + accumulate]
            counts = torch.tensor([[len(b), int(b.is_completion.sum())] for b in step], dtype=torch.double).sum(0)
            rows, tokens = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum").tolist()
            tokens_per_sample = tokens / max(rows, 1.0)
        return StepSize(num_samples, num_samples * tokens_per_sample, self.sampling.max_new_tokens)

    def completion_scores(self, policy: Policy, samples: ExperienceBatch) -> TokenScores:
        """Return log-probs and entropies (B, T) of stored samples, each prompt read once for its group."""
        uids, rows = samples.prompt_uids.unique(return_inverse=True)
        prompts = [self.experience.prompt("train", uid) for uid in uids.tolist()]
        return policy.completion_scores(
            prompts, rows, samples.completion_ids, samples.is_completion, temperature=self.sampling.temperature
        )

    @torch.no_grad()
    def reference_logps(self, samples: ExperienceBatch) -> Tensor | None:
        """Return log-probs (B, T) under the reference, where there is one."""
        if self.reference is None:
            return None
        with self.reference.acting(self.loaded_policy) as reference:
            return self.completion_scores(reference, samples).logps

    # --- checkpoints ----------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the rollouts in flight, of all ranks."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["micro_batches"] = gather_ranks([batch.state_dict() for batch in self.micro_batches])
        checkpoint["num_completions"] = self.num_completions

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore this rank's rollouts in flight."""
        super().on_load_checkpoint(checkpoint)
        states = own_state(checkpoint["micro_batches"], self.global_rank, self.trainer.world_size)
        self.micro_batches = [ExperienceBatch.from_state_dict(state) for state in states]
        self.num_completions = checkpoint["num_completions"]


def _advantages(rewards: Tensor, rule_rewards: Tensor, *, config: AdvantageConfig) -> Tensor:
    return group_relative_advantages(rewards, rule_rewards=rule_rewards, config=config)
