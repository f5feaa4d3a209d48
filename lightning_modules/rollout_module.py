"""A policy that samples: rollouts with scores, and held-out evaluation. What GRPO and MPO have in common.

By itself it trains nothing; ``validate``, ``test`` and ``predict`` work with it.

Shapes: P prompts, G completions per prompt.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor

from algorithms import Completion, ConfigError, PreferencePair, Prompt, position_seed
from hallucination import ClaimGrammar
from lightning_modules.evaluation import Evaluation, EvaluationConfig
from lightning_modules.policy_module import OptimizerConfig, PolicyModule
from lightning_modules.signals import SignalBoard, check_signals
from models import LoRAConfig, PolicySource
from rewards import RewardTable, WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, collect, dropout_ntp_pairs
from rollouts.phase import AdvantageFunction, no_advantages


class RolloutModule(PolicyModule):
    """Samples, scores and evaluates. Subclasses learn."""

    def __init__(
        self,
        policy: PolicySource,
        engine: RolloutEngine,
        reward: WeightedReward,
        trainable: list[str] = [],  # noqa: B006  (never changed)
        optimizer: OptimizerConfig = OptimizerConfig(),  # noqa: B008  (frozen)
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008
        evaluation: EvaluationConfig = EvaluationConfig(),  # noqa: B008
        claims: ClaimGrammar | None = None,
        group_size: int = 8,
        seed: int = 0,
        lora: LoRAConfig | None = None,
        recompute_activations: bool = False,
    ) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            engine: what samples completions.
            reward: what scores them; its part ``accuracy`` is what evaluation reports.
            trainable: parts that learn, any of ``vision_tower``, ``adapter``, ``language_model``.
            optimizer: learning rate and schedule.
            sampling: temperature and longest completion.
            evaluation: what validation and test measure.
            claims: how to find claims about the image in a text; null judges none.
            group_size: completions per prompt of a rollout and of ``predict``.
            seed: seed of all sampling.
            lora: low-rank updates that learn besides; null adds none.
            recompute_activations: keep little for backward and compute the rest again, for memory.
        """
        super().__init__(policy, trainable, optimizer, lora, recompute_activations)
        if "accuracy" not in reward.parts:
            raise ConfigError(
                f"model.reward.parts must have a part named 'accuracy', got {sorted(reward.parts)}: "
                "it is what validation reports as accuracy. Give it weight 0 to leave it out of the training reward."
            )
        self.engine, self.reward = engine, reward
        self.sampling, self.claims = sampling, claims
        self.group_size, self.seed = group_size, seed
        self.signals = SignalBoard()
        self.evaluation_config = evaluation
        self.evaluation = Evaluation(evaluation, claims)

    def sample(
        self, prompts: Sequence[Prompt], group_size: int, sampling: SamplingConfig, *, seed: int
    ) -> list[list[Completion]]:
        """Return completions of the present policy, without scores."""
        self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
        with self.trainer.precision_plugin.forward_context():
            return self.engine.generate(prompts, group_size=group_size, sampling=sampling, seed=seed)

    def roll_out(
        self,
        prompts: Sequence[Prompt],
        *,
        seed: int,
        advantage: AdvantageFunction = no_advantages,
        first_group: int = 0,
    ) -> RolloutPhase:
        """Sample groups for the prompts, score them and compute advantages."""
        completions = self.sample(prompts, self.group_size, self.sampling, seed=seed)
        self.reward.reduce = lambda sums: self.trainer.strategy.reduce(sums, reduce_op="sum")
        return collect(
            prompts,
            completions,
            partial(self.reward, is_training=self.trainer.training),
            advantage,
            policy_version=self.trainer.global_step,
            first_group=first_group,
        )

    def dropout_ntp_pairs(self, phase: RolloutPhase, *, seed: int) -> list[PreferencePair]:
        """Return pairs of a phase's completions against ones that went on without the images."""
        decode = self.loaded_policy.encoder.tokenizer.decode
        # A draw of its own: with the rollout's seed the blind half would repeat its numbers.
        seed = position_seed(seed, "blind continuations")
        with self.trainer.precision_plugin.forward_context():
            return dropout_ntp_pairs(self.engine, decode, phase.groups, sampling=self.sampling, seed=seed)

    def teardown(self, stage: str) -> None:
        """End the engine, whatever it runs."""
        del stage
        self.engine.shut_down()

    def on_fit_start(self) -> None:
        """Refuse callbacks that read what nobody publishes, and FSDP1."""
        if isinstance(self.trainer.strategy, FSDPStrategy):
            raise ConfigError(
                f"trainer.strategy fsdp (FSDP1) cannot train {type(self).__name__}: it has whole weights inside of a "
                "training step only, and sampling happens outside; use configs/hardware/fsdp2.yaml."
            )
        check_signals(self.trainer.callbacks)  # pyright: ignore[reportAttributeAccessIssue]

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int, dataloader_idx: int = 0) -> None:
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

    def predict_step(self, batch: Sequence[Prompt], batch_idx: int) -> RolloutPhase:
        """Return scored groups, without advantages."""
        # Named after the prompts, so that a run that skips finished batches samples the others as before.
        seed = position_seed(self.seed, "predict", batch[0].uid)
        return self.roll_out(batch, seed=seed)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the signals, and what has moved in the reward: weights, thresholds, running statistics."""
        checkpoint["signals"] = self.signals.state_dict()
        checkpoint["reward"] = self.reward.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        self.signals.load_state_dict(checkpoint["signals"])
        self.reward.load_state_dict(checkpoint["reward"])

    def _evaluate(self, prompts: Sequence[Prompt], batch_idx: int) -> None:
        num_samples = self.evaluation_config.num_samples
        greedy_sampling = SamplingConfig(temperature=0.0, max_new_tokens=self.sampling.max_new_tokens)
        seed = position_seed(self.evaluation_config.seed, "evaluation", batch_idx, self.global_rank)
        samples = self.sample(prompts, num_samples, self.sampling, seed=seed)
        greedy = self.sample(prompts, 1, greedy_sampling, seed=seed)
        scores, greedy_scores = self._score(prompts, samples), self._score(prompts, greedy)
        shape = (len(prompts), num_samples)
        self.evaluation.update(
            prompts,
            samples,
            accuracy=_filled(scores.parts["accuracy"]).view(shape),
            greedy_accuracy=_filled(greedy_scores.parts["accuracy"]),
            well_formed=_filled(scores.parts["format"]).view(shape) if "format" in scores.parts else None,
            rule_totals=torch.tensor(scores.rule_totals, dtype=torch.float32).view(shape),
        )

    def _score(self, prompts: Sequence[Prompt], groups: Sequence[Sequence[Completion]]) -> RewardTable:
        repeated = [prompt for prompt, group in zip(prompts, groups, strict=True) for _ in group]
        return self.reward(repeated, [completion for group in groups for completion in group])

    def _log_evaluation(self, split: str) -> None:
        values: dict[str, Any] = {f"{split}/{name}": value for name, value in self.evaluation.compute().items()}
        # Added up over ranks before, so that they average equal numbers; Lightning warns of anything else.
        self.log_dict(values, sync_dist=True)
        self.evaluation.reset()


def _filled(scores: Sequence[float | None]) -> Tensor:
    """Scores as a tensor; a score that did not apply or failed counts as 0."""
    return torch.tensor([0.0 if score is None else score for score in scores], dtype=torch.float32)
