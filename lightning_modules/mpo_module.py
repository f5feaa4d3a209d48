"""Mixed Preference Optimization (MPO, arXiv:2411.10442; R1V2, arXiv:2504.16656, section 3.2).

    every N steps, iterative MPO only:  prompts (P) -> rollouts (P, G) -> scores (P, G) -> pairs
    every step:  pairs (B) -> policy log-probs (B, 2) -> implicit rewards (B, 2) -> reward shift -> loss -> backward

Pairs come from files, or the data module builds them from rollouts of the policy (iterative MPO). An implicit reward
compares the policy with its reference. With ``mpo.preference_weight`` and ``mpo.quality_weight`` at 0 this is
supervised fine-tuning on the chosen completions.

Shapes: P prompts, G completions per prompt, B pairs of a batch on one rank; column 0 of (B, 2) is the chosen
completion, column 1 the rejected one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from algorithms import (
    ConfigError,
    MPOConfig,
    MPOOutput,
    PairTicket,
    PreferencePair,
    RewardShift,
    check_at_least,
    implicit_rewards,
    mpo_loss,
    position_seed,
)
from hallucination import ClaimJudge
from lightning_modules.data_contracts import OnlinePairData, PairBatch, PairData, PromptColumns
from lightning_modules.evaluation import EvaluationConfig
from lightning_modules.learning import LearningConfig
from lightning_modules.logs.pairs import PairEvaluation, contrast_metrics, pair_step_metrics
from lightning_modules.pair_logps import PairLogps, pair_length_problem, pair_logps
from lightning_modules.precision import converter
from lightning_modules.references import CachedReference, Reference, ReferenceContext, policy_fingerprint
from lightning_modules.rollout_module import RolloutModule
from lightning_modules.strategy import sharding_of
from models import PolicySource
from rewards import AccuracyReward, RewardPart, WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, TransformersEngine


class MPOModule(RolloutModule):
    """Trains a policy on preference pairs."""

    def __init__(
        self,
        policy: PolicySource,
        learning: LearningConfig,
        engine: RolloutEngine | None = None,
        reward: WeightedReward | None = None,
        mpo: MPOConfig = MPOConfig(),  # noqa: B008  (frozen)
        reference: Reference | None = None,
        pairs_per_forward: int | None = None,
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008
        evaluation: EvaluationConfig = EvaluationConfig(),  # noqa: B008
        judge: ClaimJudge | None = None,
        seed: int = 0,
    ) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            learning: which weights learn, and how.
            engine: samples completions, for evaluation and for iterative MPO; null: ``TransformersEngine``.
            reward: scores these completions; its part ``accuracy`` is what evaluation reports; null: a reward with that
                part only.
            mpo: weights of the losses, beta and the reward shift.
            reference: how the reference policy is kept; null: ``CachedReference``.
            pairs_per_forward: most pairs in one forward. A larger batch is read in parts, which backward computes
                again; loss, shift and gradient are those of the whole batch. null reads a batch at once.
            sampling: temperature, longest completion, completions per prompt of a rollout.
            evaluation: what validation and test measure.
            judge: finds and judges the claims of a completion about its image; null judges none.
            seed: seed of all sampling.
        """
        super().__init__(
            policy,
            engine or TransformersEngine(),
            reward or WeightedReward({"accuracy": RewardPart(AccuracyReward())}),
            learning=learning,
            sampling=sampling,
            evaluation=evaluation,
            judge=judge,
            seed=seed,
        )
        if pairs_per_forward is not None:
            check_at_least("model.pairs_per_forward", pairs_per_forward, 1, "null reads all pairs at once")
        self.mpo = mpo
        # Fingerprint of pi_0; empty when the reference does not need a fingerprint.
        self.initial_weights = ""
        self.reference: Reference = reference or CachedReference()
        self.pairs_per_forward = pairs_per_forward
        self.shift = RewardShift.zero()
        self.pair_evaluation = PairEvaluation()

    @property
    def data(self) -> PairData:
        """The data module."""
        return cast(PairData, self.trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def online_data(self) -> OnlinePairData:
        """The data module of iterative MPO, which builds pairs from rollouts."""
        return cast(OnlinePairData, self.data)

    def setup(self, stage: str) -> None:
        """Refuse data without prompts for every command but ``fit``: only ``fit`` prepares the reference for pairs."""
        super().setup(stage)
        data = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        if stage != "fit" and data is not None and not isinstance(data, PromptColumns):
            raise ConfigError(
                f"data.class_path must have prompts to answer, got {type(data).__name__}: pairs alone are for fit; "
                "datamodules.PreferenceDataModule has both."
            )

    def configure_model(self) -> None:
        """Build the policy, and take the fingerprint of its weights where the reference needs it."""
        is_new = self.policy is None
        super().configure_model()
        # Computed here, because before ``on_fit_start`` a resumed run may load the weights of its checkpoint.
        if is_new and self.mpo.is_contrastive and self.reference.needs_fingerprint:
            self.initial_weights = policy_fingerprint(self.loaded_policy)

    @property
    def completion_room(self) -> int:
        """The longest completion that is sampled; 1 for data that holds only pairs, which are never sampled from."""
        has_pairs_alone = self._trainer is not None and not isinstance(self.data, PromptColumns)
        return 1 if has_pairs_alone else super().completion_room

    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> tuple[str, str] | None:
        """Return why a pair cannot be used for learning, as a reason for counting and a detail; None for a good pair.

        Data modules call it for every pair.

        Args:
            pair: the pair.
            max_tokens: longest prompt plus completion, image tokens expanded; None allows any length.
        """
        policy = self.loaded_policy
        # The token ids of both completions, each with end of turn, which is the longest form of the pair.
        sides = policy.encoder.completion_ids([pair.chosen, pair.rejected], [True, True])
        if banned := torch.cat(sides)[torch.isin(torch.cat(sides), policy.banned_token_ids)].tolist():
            tokens = policy.encoder.tokenizer.convert_ids_to_tokens(banned[:3])
            return "token that no completion may hold", f"{', '.join(tokens)}: the policy can never sample it"
        # Computed also without ``max_tokens``, because a prompt that cannot be read must be found now.
        length = policy.encoder.length(pair.prompt) + max(map(len, sides))
        return pair_length_problem(length, max_tokens, policy.context_length)

    # --- from prompts or files to pairs ---------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Check settings against each other, and prepare the reference."""
        super().on_fit_start()
        self._check_online()
        if self.mpo.is_contrastive:
            pairs = self.data.known_pairs
            if not pairs and not self.reference.scores_any_pair:
                raise ConfigError(
                    f"model.reference {type(self.reference).__name__} can only score pairs that are known beforehand, "
                    "and data builds them during training: use FrozenCopyReference or LoRAOffReference."
                )
            precision = self.trainer.precision_plugin
            context = ReferenceContext(
                source=self.policy_source,
                policy=self.loaded_policy,
                weights=f"{self.initial_weights} {precision.precision}",
                pairs=pairs,
                folder=self.data.notes_folder,
                pairs_per_forward=self.pairs_per_forward,
                convert=converter(self.trainer),
                sharding=sharding_of(self.trainer),
            )
            # The reference computes in the precision of training, because another precision gives other log-probs.
            with precision.forward_context():
                self.reference.prepare(context)

    def _check_online(self) -> None:
        """Check the settings of a data module that builds pairs from rollouts."""
        refresh_every = self.data.refresh_every
        if refresh_every is None:
            return
        self.sampling.check_for_learning()
        self.online_data.selection.check_buildable(self.online_data.score_part, self.reward.parts)
        accumulate = self.trainer.accumulate_grad_batches
        if refresh_every % accumulate:
            raise ConfigError(
                f"data.refresh_every must be a multiple of trainer.accumulate_grad_batches, got {refresh_every} and "
                f"{accumulate}: a rollout frees the gradients that were accumulated before it."
            )

    def starts_rollout(self, batch: PairBatch) -> bool:
        """Return whether new pairs are built before this step."""
        return isinstance(batch, PairTicket) and batch.refresh is not None

    def act(self, batch: PairTicket) -> tuple[RolloutPhase, Mapping[str, float]]:
        """Sample, score, and exchange the scored groups for pairs."""
        assert batch.refresh is not None, "only a ticket with a refresh starts a rollout"
        seed = position_seed(self.seed, "rollout", batch.refresh, self.global_rank)
        completions = self.sample(batch.prompts, self.sampling, seed=seed)  # (P, G)
        phase = self.score(batch.prompts, completions)  # scores (P, G)
        blind = self.dropout_ntp_pairs(phase, seed=seed) if self.online_data.wants_dropout_ntp else []
        return phase, self.online_data.refresh(phase, blind, batch.refresh)

    # --- from pairs to their loss ---------------------------------------------------------------------------

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch of pairs."""
        # Free the memory that only sampling needs for forward and backward.
        self.engine.release()
        scored, rewards = self._rewards(self.data.pairs_of(batch))  # (B, 2) each
        # The shift is updated before the loss, because delta includes the rewards of this batch.
        if self.mpo.is_contrastive:
            self._update_shift(rewards)
        out = self._loss(scored, rewards)
        self._log_step(out, scored, rewards)
        return self.connected(out.loss)

    def _rewards(self, pairs: Sequence[PreferencePair]) -> tuple[PairLogps, Tensor]:
        """Return log-probs and implicit rewards (B, 2); zero rewards where no term of the loss needs them."""
        scored = pair_logps(
            self.loaded_policy,
            pairs,
            with_rejected=self.mpo.is_contrastive,
            pairs_per_forward=self.pairs_per_forward,
        )
        if not self.mpo.is_contrastive:
            return scored, torch.zeros_like(scored.logps)
        reference = self.reference.logps(self.loaded_policy, pairs)  # (B, 2)
        # The function takes completions in one row: (B, 2) -> (2B,) -> (B, 2)
        flat = implicit_rewards(scored.logps.flatten(), reference.flatten(), self.mpo.beta)
        return scored, flat.view_as(scored.logps)

    def _update_shift(self, rewards: Tensor) -> None:
        """Add the rewards (B, 2) of all ranks to the running mean; a collective call."""
        # Sum and count, so that every reward has the same weight when batches of ranks differ in size.
        sums = torch.stack([rewards.detach().double().sum(), torch.tensor(rewards.numel()).to(rewards).double()])
        total, count = self.trainer.strategy.reduce(sums, reduce_op="sum")
        # A step that is left out because it is not finite must not change the running mean.
        if total.isfinite():
            self.shift = self.shift.updated(total.cpu(), count.cpu())

    def _loss(self, scored: PairLogps, rewards: Tensor) -> MPOOutput:
        """Return the loss and its terms, each (B,)."""
        return mpo_loss(
            scored.logps[:, 0],
            rewards[:, 0],
            rewards[:, 1],
            scored.num_tokens[:, 0],
            shift=self.shift.value.to(rewards.device),
            num_pairs=len(rewards),
            config=self.mpo,
        )

    def _log_step(self, out: MPOOutput, scored: PairLogps, rewards: Tensor) -> None:
        """Log the loss, and every ``log_every_n_steps`` steps the means over the batch."""
        self.log("train/loss", out.loss.detach(), batch_size=len(rewards))
        # Not at every step: logging all metrics takes a tenth of the time of a small policy's step.
        if (self.trainer.global_step + 1) % self.trainer.log_every_n_steps:  # pyright: ignore[reportAttributeAccessIssue]
            return
        values = pair_step_metrics(scored, out) | {"train/pairs_kept": self.data.kept_fraction}
        if self.mpo.is_contrastive:
            values |= contrast_metrics(scored, rewards, out, self.shift)
        self.log_dict(values, batch_size=len(rewards))

    # --- evaluation -----------------------------------------------------------------------------------------

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Evaluate a batch of prompts or of held-out pairs; the shift stays as it is."""
        if not isinstance(batch[0], PreferencePair):
            return super().validation_step(batch, batch_idx)
        scored, rewards = self._rewards(self.data.pairs_of(batch))  # (B, 2) each
        loss = self._loss(scored, rewards).loss
        self.pair_evaluation.update(loss, rewards, is_contrastive=self.mpo.is_contrastive)
        return None

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of prompts, where the data has any, and those of held-out pairs."""
        if isinstance(self.data, PromptColumns):
            super().on_validation_epoch_end()
        means = {f"val/{name}": value for name, value in self.pair_evaluation.compute().items()}
        # The means are over all ranks already; without sync_dist Lightning warns.
        self.log_dict(means, sync_dist=True)
        self.pair_evaluation.reset()

    # --- checkpoints ----------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the reward shift, which is the same on all ranks."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["reward_shift"] = {"total": self.shift.total, "count": self.shift.count}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the reward shift."""
        super().on_load_checkpoint(checkpoint)
        self.shift = RewardShift(**checkpoint["reward_shift"])
