"""Mixed Preference Optimization (MPO, arXiv:2411.10442; R1V2, arXiv:2504.16656, section 3.2).

    pairs (B) -> policy log-probs (B, 2) -> implicit rewards against the reference (B, 2) -> shift -> loss -> backward

Pairs come from files, or are built from the policy's own rollouts every so often (iterative MPO); the data module
decides which. With ``mpo.preference_weight`` and ``mpo.quality_weight`` at 0 this is supervised fine-tuning on the
chosen completions.

Shapes: B pairs of a batch on one rank.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from algorithms import (
    ConfigError,
    MPOConfig,
    MPOOutput,
    PreferencePair,
    RewardShift,
    check_at_least,
    implicit_rewards,
    mpo_loss,
    position_seed,
)
from hallucination import ClaimJudge
from lightning_modules.data_contracts import OnlinePairData, PairBatch, PairData
from lightning_modules.evaluation import EvaluationConfig
from lightning_modules.learning import LearningConfig
from lightning_modules.pair_logps import PairLogps, pair_logps
from lightning_modules.reference import CachedReference, Reference, Start, fingerprint
from lightning_modules.rollout_module import RolloutModule
from lightning_modules.strategy import sharding_of
from models import PolicySource
from rewards import WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, gather_ranks


class MPOModule(RolloutModule):
    """Learns from preference pairs."""

    def __init__(
        self,
        policy: PolicySource,
        learning: LearningConfig,
        engine: RolloutEngine,
        reward: WeightedReward,
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
            engine: what samples completions, for evaluation and for iterative MPO.
            reward: what scores them; its part ``accuracy`` is what evaluation reports.
            mpo: weights of the losses, beta and the reward shift.
            reference: how the reference policy is kept; null: ``CachedReference``.
            pairs_per_forward: most pairs in one forward; a larger batch is read in parts and computed again in
                backward, with the gradient of the whole batch, shift included. null reads it at once.
            sampling: temperature, longest completion, completions per prompt of a rollout.
            evaluation: what validation and test measure.
            judge: how claims about the image are found in a completion and judged; null judges none.
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
        if pairs_per_forward is not None:
            check_at_least("model.pairs_per_forward", pairs_per_forward, 1, "null reads all pairs at once")
        self.mpo = mpo
        self.initial_weights = ""
        self.reference: Reference = reference or CachedReference()
        self.pairs_per_forward = pairs_per_forward
        self.shift = RewardShift.zero()
        names = ("loss", "preference_accuracy", "margin", "chosen_reward", "rejected_reward")
        self.pair_means: Any = torch.nn.ModuleDict({name: MeanMetric() for name in names})

    @property
    def data(self) -> PairData:
        """The data module."""
        return cast(PairData, self.trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def online_data(self) -> OnlinePairData:
        """The data module, which builds pairs from rollouts."""
        return cast(OnlinePairData, self.data)

    def configure_model(self) -> None:
        """Build the policy, and remember what it was before a checkpoint or a step changed it."""
        is_new = self.policy is None
        super().configure_model()
        if is_new and self.mpo.is_contrastive and self.reference.needs_fingerprint:
            self.initial_weights = fingerprint(self.loaded_policy)

    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> tuple[str, str] | None:
        """Say why a pair cannot be learned from, as a reason to count by and a detail; data modules ask.

        Args:
            pair: the pair.
            max_tokens: longest prompt plus completion, image tokens expanded; None allows any length.
        """
        policy = self.loaded_policy
        sides = policy.encoder.completion_ids([pair.chosen, pair.rejected], [True, True])
        if banned := torch.cat(sides)[torch.isin(torch.cat(sides), policy.banned_token_ids)].tolist():
            tokens = policy.encoder.tokenizer.convert_ids_to_tokens(banned[:3])
            return "token that no completion may hold", f"{', '.join(tokens)}: the policy can never say it"
        if max_tokens is None:
            return None
        length = policy.encoder.length(pair.prompt) + max(map(len, sides))
        return None if length <= max_tokens else ("too many tokens", f"{length}, data.max_pair_tokens is {max_tokens}")

    # --- training -------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Refuse settings that do not fit together, and get the reference ready."""
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
            start = Start(
                source=self.policy_source,
                policy=self.loaded_policy,
                weights=f"{self.initial_weights} {precision.precision}",
                pairs=pairs,
                folder=self.data.pairs_folder,
                pairs_per_forward=self.pairs_per_forward,
                convert=precision.convert_module,
                sharding=sharding_of(self.trainer),
            )
            # As in a training step: the same weights give other numbers in another precision.
            with precision.forward_context():
                self.reference.prepare(start)

    def _check_online(self) -> None:
        """Refuse settings of a data module that builds pairs from rollouts."""
        refresh_every = self.data.refresh_every
        if refresh_every is None:
            return
        self.online_data.selection.check_buildable(self.online_data.score_part, self.reward.parts)
        accumulate: int = self.trainer.accumulate_grad_batches  # pyright: ignore[reportAttributeAccessIssue]
        if refresh_every % accumulate:
            raise ConfigError(
                f"data.refresh_every must be a multiple of trainer.accumulate_grad_batches, got {refresh_every} and "
                f"{accumulate}: gradients do not live through a rollout."
            )

    def starts_rollout(self, batch: PairBatch) -> bool:
        """Return whether new pairs are built before this step."""
        return not isinstance(batch, list) and batch.refresh is not None

    def act(self, batch: Any) -> tuple[RolloutPhase, Mapping[str, float]]:
        """Sample, score, and exchange the scored groups for pairs."""
        seed = position_seed(self.seed, "rollout", batch.refresh, self.global_rank)
        phase = self.score(batch.prompts, self.sample(batch.prompts, self.sampling, seed=seed))
        blind = self.dropout_ntp_pairs(phase, seed=seed) if self.online_data.wants_dropout_ntp else []
        return phase, self.online_data.refresh(phase, blind, batch.refresh)

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch of pairs."""
        self.engine.release()
        pairs = self.data.pairs_of(batch)
        scored, rewards = self._rewards(pairs)
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
        reference = self.reference.logps(self.loaded_policy, pairs)
        flat = implicit_rewards(scored.logps.flatten(), reference.flatten(), self.mpo.beta)
        return scored, flat.view_as(scored.logps)

    def _update_shift(self, rewards: Tensor) -> None:
        sums = torch.stack([rewards.detach().double().sum(), torch.tensor(rewards.numel()).to(rewards).double()])
        total, count = self.trainer.strategy.reduce(sums, reduce_op="sum")
        self.shift = self.shift.updated(total.cpu(), count.cpu())

    def _loss(self, scored: PairLogps, rewards: Tensor) -> MPOOutput:
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
        self.log("train/loss", out.loss.detach(), batch_size=len(rewards))
        # A tenth of a small policy's step goes into logging all of these.
        if (self.trainer.global_step + 1) % self.trainer.log_every_n_steps:  # pyright: ignore[reportAttributeAccessIssue]
            return
        values = {
            "train/generation_loss": out.generation.mean(),
            "train/chosen_logps": scored.logps[:, 0].mean(),
            "train/chosen_tokens": scored.num_tokens[:, 0].float().mean(),
            "train/pairs_kept": self.data.kept_fraction,
        }
        if self.mpo.is_contrastive:
            values |= {
                "train/preference_loss": out.preference.mean(),
                "train/quality_loss": out.quality.mean(),
                "train/chosen_reward": rewards[:, 0].mean(),
                "train/rejected_reward": rewards[:, 1].mean(),
                "train/margin": (rewards[:, 0] - rewards[:, 1]).mean(),
                "train/preference_accuracy": (rewards[:, 0] > rewards[:, 1]).float().mean(),
                "train/reward_shift": self.shift.value,
                "train/rejected_logps": scored.logps[:, 1].mean(),
                "train/rejected_tokens": scored.num_tokens[:, 1].float().mean(),
            }
        detached = {k: v.detach() if isinstance(v, Tensor) else v for k, v in values.items()}
        self.log_dict(detached, batch_size=len(rewards))

    # --- evaluation -----------------------------------------------------------------------------------------

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate prompts (first loader) or held-out pairs (second loader), which leave the shift alone."""
        if dataloader_idx == 0:
            return super().validation_step(batch, batch_idx)
        pairs = self.data.pairs_of(batch)
        scored, rewards = self._rewards(pairs)
        self.pair_means["loss"].update(self._loss(scored, rewards).loss, weight=len(pairs))
        if self.mpo.is_contrastive:
            self.pair_means["chosen_reward"].update(rewards[:, 0])
            self.pair_means["rejected_reward"].update(rewards[:, 1])
            self.pair_means["margin"].update(rewards[:, 0] - rewards[:, 1])
            self.pair_means["preference_accuracy"].update((rewards[:, 0] > rewards[:, 1]).float())
        return None

    def on_validation_epoch_end(self) -> None:
        """Log both kinds of metrics."""
        super().on_validation_epoch_end()
        # A rank without pairs adds nothing up, but must be there when others do.
        names = set[str]().union(*gather_ranks([n for n, metric in self.pair_means.items() if metric.update_called]))
        means = {f"val/{name}": self.pair_means[name].compute() for name in sorted(names)}
        self.log_dict(means, sync_dist=True)
        for metric in self.pair_means.values():
            metric.reset()

    # --- checkpoints ----------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the reward shift, which is the same on all ranks."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["reward_shift"] = {"total": self.shift.total, "count": self.shift.count}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the reward shift."""
        super().on_load_checkpoint(checkpoint)
        self.shift = RewardShift(**checkpoint["reward_shift"])
