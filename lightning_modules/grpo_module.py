"""GRPO with a Selective Sample Buffer (R1V2, arXiv:2504.16656, section 3.3).

    prompts (P) -> rollouts (P, G) -> rewards (P, G) -> advantages (P, G) -> exchange -> K micro-batches
    each micro-batch (B) -> policy log-probs (B, T) -> loss -> backward

The data module streams prompts and owns the buffer; this module samples and learns; callbacks watch through
``on_rollout_end(trainer, module, phase)``. Optimization is Lightning's own: accumulation, clipping, precision
and checkpoints work as everywhere.

Shapes: P prompts, G completions per prompt, B samples of a micro-batch, T completion tokens, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any, cast

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
    position_seed,
    stack_completions,
)
from algorithms.records import Completion
from hallucination import ClaimJudge
from lightning_modules.data_contracts import ExperienceSource
from lightning_modules.evaluation import EvaluationConfig
from lightning_modules.learning import LearningConfig
from lightning_modules.reference import FrozenCopyReference, PolicyReference, Start
from lightning_modules.rollout_log import batch_metrics, mismatch_metrics, step_metrics
from lightning_modules.rollout_module import RolloutModule
from lightning_modules.strategy import sharding_of
from models import Policy, PolicySource, is_sharded
from rewards import WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, gather_ranks, own_state


class GRPOModule(RolloutModule):
    """Samples, scores and learns."""

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
        seed: int = 0,
    ) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            learning: which weights learn, and how.
            engine: what samples completions.
            reward: what scores them; its part ``accuracy`` is what evaluation reports.
            sampling: temperature, longest completion, completions per prompt.
            advantage: how rewards become advantages.
            grpo: the objective.
            reference: how the reference of the KL penalty is kept; null: ``FrozenCopyReference`` where
                ``grpo.kl_weight`` is above 0, else none.
            evaluation: what validation and test measure.
            judge: how claims about the image are found in a completion and judged; null judges none.
            max_attempts: how many times, at most, further prompts are sampled until ``prompts_per_rollout`` groups are
                effective (dynamic sampling, DAPO); 1 samples once.
            seed: seed of all sampling.
        """
        super().__init__(
            policy,
            engine,
            reward,
            learning=learning,
            sampling=sampling,
            evaluation=evaluation,
            judge=judge,
            seed=seed,
        )
        check_at_least(
            "model.sampling.group_size",
            sampling.group_size,
            2,
            "with one completion per prompt every group-relative advantage is zero and nothing is learned",
        )
        check_at_least("model.max_attempts", max_attempts, 1, "1 samples once")
        self.grpo, self.advantage, self.max_attempts = grpo, advantage, max_attempts
        self.effective_tolerance = advantage.tolerance
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

    def starts_rollout(self, batch: Ticket) -> bool:
        """Return whether this is the first micro-batch of a rollout."""
        return batch.micro == 0

    def act(self, batch: Ticket) -> tuple[RolloutPhase, Mapping[str, float]]:
        """Sample, score, compute advantages, and exchange the effective samples for micro-batches."""
        phase: RolloutPhase | None = None
        for attempt in range(self.max_attempts):
            prompts = batch.prompts if attempt == 0 else self.experience.further_prompts(batch.rollout, attempt)
            seed = position_seed(self.seed, "rollout", batch.rollout, self.global_rank, attempt)
            completions = self.sample(prompts, self.sampling, seed=seed)  # (P, G)
            scored = self.score(prompts, completions, first_group=self._first_group(batch.rollout, attempt))
            learnt = scored.with_advantages(self.advantage)
            phase = learnt if phase is None else phase.joined(learnt)
            if attempt + 1 < self.max_attempts and self._is_full(phase):
                break
        assert phase is not None
        self.num_completions += phase.rewards.numel() * self.trainer.world_size
        self.micro_batches = self.experience.exchange(
            self._learnable(phase),
            num_sampled=len(batch.prompts) * self.sampling.group_size,
            rollout=batch.rollout,
            policy_version=self.trainer.global_step,
            solved_uids=phase.solved_uids(),
        )
        return phase, batch_metrics(self.micro_batches, self.trainer.global_step) | {
            "buffer/held": float(len(self.experience.buffer)),
            "rollout/completions_so_far": float(self.num_completions),
        }

    def training_step(self, batch: Ticket, batch_idx: int) -> Tensor:
        """Return the loss of one micro-batch."""
        self.engine.release()
        samples = self.micro_batches[batch.micro]
        if is_idle := len(samples) == 0:
            # Nothing to learn on this rank, but every rank must take part in forward and backward.
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
        if is_idle:
            return self.connected(out.loss * 0.0)
        values = step_metrics(samples, out, scores.entropies, self.grpo)
        if samples.engine_logps is None:
            # Before the first update the learner's weights are still the engine's.
            values |= mismatch_metrics(samples, scores.logps, where=self._is_as_sampled(samples))
        self.log_dict(values, batch_size=len(samples))
        return self.connected(out.loss)

    def _placeholder(self, prompt: Prompt) -> ExperienceBatch:
        """Return one sample with advantage 0, for a rank without samples while other ranks have some."""
        end = torch.tensor([self.loaded_policy.end_token_id])
        completion = Completion(token_ids=end, behavior_logps=torch.zeros(1), text="", finish_reason="stop")
        zero = torch.zeros(1, dtype=torch.long)
        samples = stack_completions(
            [completion],
            prompt_uids=torch.tensor([prompt.uid]),
            group_ids=zero,
            advantages=torch.zeros(1),
            policy_versions=zero,
        )
        return samples if self.grpo.engine_ratio_cap is None else samples.with_columns(engine_logps=torch.zeros(1, 1))

    def _is_as_sampled(self, samples: ExperienceBatch) -> Tensor:
        """Return which samples (B) the present weights have sampled."""
        return ~samples.is_replay & (samples.policy_versions == self.trainer.global_step)

    def _is_full(self, phase: RolloutPhase) -> bool:
        """Return whether every rank has as many effective groups as were wanted; a collective call."""
        is_full = int(phase.is_effective.sum()) >= self.experience.prompts_per_rollout
        return self.trainer.strategy.reduce_boolean_decision(is_full, all=True)

    def _first_group(self, rollout: int, attempt: int) -> int:
        """Return a group id such that the ids of all rollouts, ranks and attempts are different."""
        place = (rollout * self.trainer.world_size + self.global_rank) * self.max_attempts + attempt
        return place * self.experience.prompts_per_rollout

    def _learnable(self, phase: RolloutPhase) -> ExperienceBatch:
        """Return the samples with an advantage, of no more effective groups than were wanted."""
        is_effective = phase.is_effective  # (P,)
        is_wanted = is_effective & (is_effective.cumsum(0) <= self.experience.prompts_per_rollout)
        is_learnt = is_wanted[:, None] & (phase.advantages != 0.0)  # (P, G)
        if self.grpo.mask_truncated:
            is_learnt &= ~phase.is_truncated
        return self._scored_by_learner(phase.rows(is_learnt), self._placeholder(phase.prompts[0]))

    @torch.no_grad()
    def _scored_by_learner(self, samples: ExperienceBatch, placeholder: ExperienceBatch) -> ExperienceBatch:
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
                    # Sharded weights are gathered by all ranks together, so every rank runs equally many forwards.
                    self.completion_scores(self.loaded_policy, placeholder)
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
        num_sampled = experience.prompts_per_rollout * self.sampling.group_size
        num_samples = max(1.0, config.full_batch(num_sampled) / experience.micro_batches)
        tokens_per_sample = 1.0
        if self.grpo.average == "token":
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
