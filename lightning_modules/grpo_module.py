"""GRPO with a Selective Sample Buffer (R1V2, arXiv:2504.16656, section 3.3).

    prompts (P) -> rollouts (P, G) -> rewards (P, G) -> advantages (P, G) -> exchange -> K micro-batches
    each micro-batch (B) -> policy log-probs (B, T) -> loss -> backward

The data module streams prompts and owns the buffer. This module samples and learns. Callbacks observe each rollout
through their method ``on_rollout_end(trainer, module, phase)``. Optimization is Lightning's automatic one:
accumulation, clipping, precision and checkpoints work as in any LightningModule.

Read ``act`` first, then ``training_step``.

Shapes: P prompts, G completions per prompt, K micro-batches of a rollout, B samples of a micro-batch, T completion
tokens, U different prompts among B samples.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from algorithms import (
    AdvantageConfig,
    ConfigError,
    ExperienceBatch,
    GRPOConfig,
    Prompt,
    StepSize,
    Ticket,
    TokenScores,
    check_at_least,
    grpo_loss,
)
from algorithms.experience_batch import placeholder_row
from hallucination import ClaimJudge
from lightning_modules.ahead import AheadModule
from lightning_modules.ahead.learner_logps import learner_logps
from lightning_modules.ahead.rollout import check_rollouts_ahead
from lightning_modules.evaluation import EvaluationConfig
from lightning_modules.learning import LearningConfig
from lightning_modules.logs.idle_rollouts import IdleRollouts
from lightning_modules.logs.rollouts import batch_metrics, mismatch_metrics, step_metrics
from lightning_modules.precision import converter
from lightning_modules.references import FrozenCopyReference, PolicyReference, ReferenceContext
from lightning_modules.strategy import sharding_of
from models import Policy, PolicySource, is_sharded
from rewards import WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, gather_ranks, state_of_rank


class GRPOModule(AheadModule):
    """Trains a policy on its own scored rollouts."""

    def __init__(
        self,
        policy: PolicySource,
        learning: LearningConfig,
        engine: RolloutEngine,
        reward: WeightedReward,
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008  (frozen)
        advantage: AdvantageConfig = AdvantageConfig(),  # noqa: B008
        grpo: GRPOConfig = GRPOConfig(),  # noqa: B008
        reference: PolicyReference | None = None,
        evaluation: EvaluationConfig = EvaluationConfig(),  # noqa: B008
        judge: ClaimJudge | None = None,
        max_attempts: int = 1,
        rollouts_ahead: int = 0,
        seed: int = 0,
    ) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            learning: which weights learn, and how.
            engine: samples completions.
            reward: scores completions; its part ``accuracy`` is what evaluation reports.
            sampling: temperature, longest completion, completions per prompt.
            advantage: how rewards become advantages.
            grpo: the objective.
            reference: how the reference of the KL penalty is kept; null: ``FrozenCopyReference`` where
                ``grpo.kl_weight`` is above 0, else none.
            evaluation: what validation and test measure.
            judge: finds and judges the claims of a completion about its image; null judges none.
            max_attempts: most times that a rollout samples, each time for further prompts, until
                ``prompts_per_rollout`` groups are effective (dynamic sampling, DAPO); 1 samples once.
            rollouts_ahead: rollouts that are sampled while an earlier one is learnt from, by weights that are then one
                rollout old; 0 or 1, and 1 needs an engine that samples apart. One is what Noukhovitch et al.
                (arXiv:2410.18252) find to cost no accuracy.
            seed: seed of all sampling.
        """
        super().__init__(
            policy, engine, reward, learning=learning, sampling=sampling, evaluation=evaluation, judge=judge, seed=seed
        )
        why = "with one completion per prompt every group-relative advantage is zero and nothing is learned"
        check_at_least("model.sampling.group_size", sampling.group_size, 2, why)
        sampling.check_for_learning()
        check_at_least("model.max_attempts", max_attempts, 1, "1 samples once")
        check_rollouts_ahead(rollouts_ahead, engine, cap=grpo.engine_ratio_cap, max_attempts=max_attempts)
        self.grpo, self.advantage = grpo, advantage
        self.max_attempts, self.rollouts_ahead = max_attempts, rollouts_ahead
        self.effective_tolerance = advantage.tolerance
        self.reference = (reference or FrozenCopyReference()) if grpo.kl_weight else None
        # The K micro-batches of the present rollout; training step number ``micro`` of the rollout reads one.
        self.micro_batches: list[ExperienceBatch] = []
        # Sampled for training since the start of the run, over all ranks.
        self.num_completions = 0
        self.idle_rollouts = IdleRollouts()

    # --- from prompts to micro-batches ----------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Check data and trainer settings against each other, and prepare the reference."""
        super().on_fit_start()
        micro_batches = self.experience.micro_batches
        accumulate = self.trainer.accumulate_grad_batches
        if micro_batches % accumulate:
            raise ConfigError(
                f"data.micro_batches must be a multiple of trainer.accumulate_grad_batches, got {micro_batches} "
                f"and {accumulate}: an optimizer step may not mix two rollouts."
            )
        if self.reference is not None:
            context = ReferenceContext(
                source=self.policy_source,
                policy=self.loaded_policy,
                convert=converter(self.trainer),
                sharding=sharding_of(self.trainer),
            )
            self.reference.prepare(context)

    def starts_rollout(self, batch: Ticket) -> bool:
        """Return whether this is the first micro-batch of a rollout."""
        return batch.micro == 0

    def act(self, batch: Ticket) -> tuple[RolloutPhase, Mapping[str, float]]:
        """Sample, score, compute advantages, and exchange the effective samples for micro-batches."""
        phase: RolloutPhase | None = None
        for attempt in range(self.max_attempts):
            prompts = batch.prompts if attempt == 0 else self.experience.further_prompts(batch.rollout, attempt)  # (P)
            sampled = self.sample_rollout(batch.rollout, prompts, attempt=attempt)  # completions (P, G)
            first = self._first_group(batch.rollout, attempt)
            scored = self.score(prompts, sampled.groups, first_group=first, policy_version=sampled.policy_version)
            attempted = scored.with_advantages(self.advantage)  # advantages (P, G)
            phase = attempted if phase is None else phase.joined(attempted)
            # No check after the last attempt: it is a collective call, and its result would not matter.
            if attempt + 1 < self.max_attempts and self._has_enough_groups(phase):
                break
        assert phase is not None
        self.num_completions += phase.rewards.numel() * self.trainer.world_size
        # Decided over all ranks: one rank may have no effective group while other ranks have some.
        is_learning = self.trainer.strategy.reduce_boolean_decision(bool(phase.is_effective.any()), all=False)
        if self.trainer.is_global_zero:
            self.idle_rollouts.add(phase, is_idle=not is_learning)
        # (P, G) -> the samples with an advantage -> K micro-batches, filled up from the buffer
        self.micro_batches = self.experience.exchange(
            self._samples_to_learn_from(phase),
            num_sampled=len(batch.prompts) * self.sampling.group_size,
            rollout=batch.rollout,
            policy_version=self.trainer.global_step,
            solved_uids=phase.solved_uids(),
        )
        accumulate = self.trainer.accumulate_grad_batches
        return phase, batch_metrics(self.micro_batches, self.trainer.global_step, micro_batches_per_step=accumulate) | {
            "buffer/held": float(len(self.experience.buffer)),
            "rollout/completions_so_far": float(self.num_completions),
            **self.waiting_metrics(phase.policy_version),
        }

    def _first_group(self, rollout: int, attempt: int) -> int:
        """Return the first group id of an attempt; ids differ between all rollouts, ranks and attempts of a run."""
        index = (rollout * self.trainer.world_size + self.global_rank) * self.max_attempts + attempt
        return index * self.experience.prompts_per_rollout

    def _has_enough_groups(self, phase: RolloutPhase) -> bool:
        """Return whether every rank has ``prompts_per_rollout`` effective groups; a collective call."""
        has_enough = int(phase.is_effective.sum()) >= self.experience.prompts_per_rollout
        return self.trainer.strategy.reduce_boolean_decision(has_enough, all=True)

    def _samples_to_learn_from(self, phase: RolloutPhase) -> ExperienceBatch:
        """Return the samples whose advantage is not 0, of at most ``prompts_per_rollout`` effective groups."""
        is_effective = phase.is_effective  # (P,)
        # Further attempts may give more effective groups than one batch has room for; the first ones stay.
        is_wanted = is_effective & (is_effective.cumsum(0) <= self.experience.prompts_per_rollout)
        # A sample with an unknown reward has advantage 0, so it is left out too.
        is_learnt = is_wanted[:, None] & (phase.advantages != 0.0)  # (P, G)
        if self.grpo.mask_truncated:
            is_learnt &= ~phase.is_truncated
        return self._with_learner_logps(phase.rows(is_learnt), self._placeholder(phase.prompts[0]))  # (B, T)

    def _with_learner_logps(self, samples: ExperienceBatch, placeholder: ExperienceBatch) -> ExperienceBatch:
        """Return samples with the learner's log-probs as behavior log-probs, the engine's as ``engine_logps``."""
        if (cap := self.grpo.engine_ratio_cap) is None:
            return samples
        with self.trainer.precision_plugin.forward_context():
            logps = learner_logps(
                samples,
                lambda some: self.completion_scores(self.loaded_policy, some).logps,
                num_parts=self.experience.micro_batches,
                placeholder=placeholder if is_sharded(self.loaded_policy) else None,
            )
        if logps is None:
            return samples
        is_on_policy = self._is_on_policy(samples)
        self.log_dict(mismatch_metrics(samples, logps, is_on_policy=is_on_policy, cap=cap), batch_size=1)
        return samples.with_columns(behavior_logps=logps, engine_logps=samples.behavior_logps)

    # --- from a micro-batch to its loss ---------------------------------------------------------------------

    def training_step(self, batch: Ticket, batch_idx: int) -> Tensor:
        """Return the loss of one micro-batch."""
        # Free the memory that only sampling needs for forward and backward, unless the engine samples meanwhile.
        if not self.rollouts_ahead:
            self.engine.release()
        samples = self.micro_batches[batch.micro]
        is_empty = len(samples) == 0
        if is_empty:
            # This rank has no samples, but every rank must take part in forward and backward.
            samples = self._placeholder(batch.prompts[0])
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
        if is_empty:
            return self.connected(out.loss * 0.0)
        values = step_metrics(samples, out, scores.entropies, self.grpo)
        if samples.engine_logps is None:
            # Before the first update the weights of the learner are still those of the engine.
            values |= mismatch_metrics(samples, scores.logps, is_on_policy=self._is_on_policy(samples))
        self.log_dict(values, batch_size=len(samples))
        return self.connected(out.loss)

    def completion_scores(self, policy: Policy, samples: ExperienceBatch) -> TokenScores:
        """Return log-probs and entropies (B, T) of stored samples, each prompt read once for its group."""
        uids, rows = samples.prompt_uids.unique(return_inverse=True)  # (U,), (B,)
        prompts = [self.experience.prompt("train", uid) for uid in uids.tolist()]
        with self.keeping_images():
            return policy.completion_scores(
                prompts, rows, samples.completion_ids, samples.is_completion, temperature=self.sampling.temperature
            )

    @torch.no_grad()
    def reference_logps(self, samples: ExperienceBatch) -> Tensor | None:
        """Return log-probs (B, T) under the reference; None without a reference."""
        if self.reference is None:
            return None
        with self.reference.as_policy(self.loaded_policy) as reference:
            return self.completion_scores(reference, samples).logps

    def step_size(self, micro: int) -> StepSize:
        """Return the divisors of a micro-batch's loss: its share of the optimizer step's samples and tokens.

        The number of samples is the size of a full batch divided by the number of micro-batches, however many samples
        this micro-batch holds. The number of tokens is the number of samples times the mean length in the optimizer
        step. Lightning averages over accumulated micro-batches and over ranks, which makes the loss the mean of the
        whole step.
        """
        config, experience = self.experience.buffer_config, self.experience
        num_sampled = experience.prompts_per_rollout * self.sampling.group_size
        num_samples = max(1.0, config.full_batch(num_sampled) / experience.micro_batches)
        tokens_per_sample = 1.0
        if self.grpo.needs_token_count:
            accumulate = self.trainer.accumulate_grad_batches
            # The micro-batches of this optimizer step are known already, those after this one included.
            first = micro - micro % accumulate
            step = self.micro_batches[first : first + accumulate]
            counts = torch.tensor([[len(b), int(b.is_completion.sum())] for b in step], dtype=torch.double).sum(0)
            rows, tokens = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum").tolist()
            tokens_per_sample = tokens / rows if rows else 1.0  # without samples the loss is 0 for any divisor
        return StepSize(num_samples, num_samples * tokens_per_sample, self.sampling.max_new_tokens)

    def _is_on_policy(self, samples: ExperienceBatch) -> Tensor:
        """Return True (B,) at the samples that the present weights have sampled."""
        return ~samples.is_replay & (samples.policy_versions == self.trainer.global_step)

    def _placeholder(self, prompt: Prompt) -> ExperienceBatch:
        """Return one sample with advantage 0, for a rank without samples while other ranks have some."""
        has_engine_logps = self.grpo.engine_ratio_cap is not None
        return placeholder_row(prompt.uid, self.loaded_policy.end_token_id, has_engine_logps=has_engine_logps)

    # --- checkpoints ----------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the micro-batches of the present rollout, of all ranks."""
        super().on_save_checkpoint(checkpoint)
        # A run may stop in the middle of a rollout. Rank 0 writes the file, and each rank has its own samples.
        checkpoint["micro_batches"] = gather_ranks([batch.state_dict() for batch in self.micro_batches])
        checkpoint["num_completions"] = self.num_completions

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the micro-batches of this rank."""
        super().on_load_checkpoint(checkpoint)
        states = state_of_rank(checkpoint["micro_batches"], self.global_rank, self.trainer.world_size)
        self.micro_batches = [ExperienceBatch.from_state_dict(state) for state in states]
        self.num_completions = checkpoint["num_completions"]
