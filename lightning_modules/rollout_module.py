"""Rollouts with scores, and held-out evaluation: the base of GRPO and MPO.

    prompts (P) -> sample: completions (P, G) -> score: rewards and claims (P, G) -> a subclass learns from them

The module by itself trains nothing; ``validate``, ``test`` and ``predict`` work with it.

Shapes: P prompts, G completions per prompt.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as L
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor

from algorithms import Completion, ConfigError, PreferencePair, Prompt, RewardTable, position_seed
from hallucination import ClaimJudge, judge_groups
from lightning_modules.data_contracts import PromptColumns
from lightning_modules.evaluation import Evaluation, EvaluationConfig
from lightning_modules.learner import TrainingDiverged
from lightning_modules.learning import LearningConfig
from lightning_modules.logs.rollouts import engine_metrics, rollout_metrics
from lightning_modules.policy_module import PolicyModule
from lightning_modules.signals import SignalBoard, check_signals
from models import PolicySource
from rewards import WeightedReward
from rollouts import RolloutEngine, RolloutPhase, SamplingConfig, dropout_ntp_pairs


@runtime_checkable
class RolloutObserver(Protocol):
    """A callback with the hook ``on_rollout_end``, which this project adds to those of Lightning.

    A callback need not inherit from this class: the method is enough.
    """

    def on_rollout_end(self, trainer: L.Trainer, pl_module: L.LightningModule, phase: RolloutPhase) -> None:
        """Look at a rollout, on every rank, before the first training step that learns from it.

        Args:
            trainer: the trainer of the run.
            pl_module: the module that sampled.
            phase: prompts, completions and scores (P, G) of this rank.
        """
        ...


_BAD_LOGPS = (
    "log-probabilities of sampled tokens are not finite: a weight is not, or numbers of the forward leave the range of "
    "trainer.precision."
)


def _has_bad_logps(phase: RolloutPhase) -> bool:
    return not all(c.behavior_logps.isfinite().all() for group in phase.completions for c in group)


class RolloutModule(PolicyModule):
    """Samples, scores and evaluates. Subclasses learn."""

    effective_tolerance = 0.0
    """A group is effective when its rule rewards differ by more than this."""

    def __init__(
        self,
        policy: PolicySource,
        engine: RolloutEngine,
        reward: WeightedReward,
        learning: LearningConfig = LearningConfig(),  # noqa: B008  (frozen)
        sampling: SamplingConfig = SamplingConfig(),  # noqa: B008
        evaluation: EvaluationConfig = EvaluationConfig(),  # noqa: B008
        judge: ClaimJudge | None = None,
        seed: int = 0,
    ) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            engine: samples completions.
            reward: scores completions; its part ``accuracy`` is what evaluation reports.
            learning: which weights learn, and how.
            sampling: temperature, longest completion, completions per prompt.
            evaluation: what validation and test measure.
            judge: finds and judges the claims of a completion about its image; null judges none.
            seed: seed of all sampling.
        """
        super().__init__(policy, learning)
        lora = learning.lora
        engine.check_lora(dict.fromkeys(lora.parts, lora.rank) if lora else {})
        if "accuracy" not in reward.parts:
            raise ConfigError(
                f"model.reward.parts must have a part named 'accuracy', got {sorted(reward.parts)}: "
                "it is what validation reports as accuracy. Give it weight 0 to leave it out of the training reward."
            )
        self.engine, self.reward, self.judge = engine, reward, judge
        self.sampling, self.seed = sampling, seed
        self.signals = SignalBoard()
        self.evaluation_config = evaluation
        self.evaluation = Evaluation(evaluation)

    # --- rollouts -------------------------------------------------------------------------------------------

    def sample(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        """Return ``sampling.group_size`` completions of each prompt by the present policy, without scores."""
        self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
        # In the precision of training: otherwise the importance ratio of a fresh sample would not be 1.
        with self.trainer.precision_plugin.forward_context():
            return self.engine.generate(prompts, sampling, seed=seed)

    def score(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[Sequence[Completion]],
        *,
        first_group: int = 0,
        policy_version: int | None = None,
    ) -> RolloutPhase:
        """Return completions (P, G) as a phase with scores and judged claims, without advantages.

        Args:
            prompts: P prompts.
            completions: G completions of each.
            first_group: id of the first group; the ids of the other groups count up from it.
            policy_version: optimizer steps of the policy that sampled; None: those of the present policy.
        """
        return RolloutPhase(
            prompts,
            completions,
            self._reward_table(prompts, completions),
            policy_version=self.trainer.global_step if policy_version is None else policy_version,
            claims=None if self.judge is None else judge_groups(self.judge, prompts, completions),
            first_group=first_group,
        )

    def dropout_ntp_pairs(self, phase: RolloutPhase, *, seed: int) -> list[PreferencePair]:
        """Return pairs of a phase's completions with continuations that are sampled without the images."""
        decode = self.loaded_policy.encoder.tokenizer.decode
        # The continuations have a seed of their own: the rollout's seed would repeat its random numbers.
        seed = position_seed(seed, "blind continuations")
        with self.trainer.precision_plugin.forward_context():
            return dropout_ntp_pairs(self.engine, decode, phase.groups, sampling=self.sampling, seed=seed)

    @property
    def completion_room(self) -> int:
        """The longest completion that is sampled.

        Raises:
            ConfigError: when it leaves no room for a prompt.
        """
        room, context = self.sampling.max_new_tokens, self.loaded_policy.context_length
        if context is not None and room >= context:
            raise ConfigError(
                f"model.sampling.max_new_tokens must be below {context}, got {room}: the model was made for {context} "
                "tokens (max_position_embeddings), and a prompt needs some of them."
            )
        return room

    def starts_rollout(self, batch: Any) -> bool:
        """Return whether a rollout comes before this training batch. By default none does."""
        return False

    def act(self, batch: Any) -> tuple[RolloutPhase, Mapping[str, float]]:
        """Sample for a training batch; return the phase, and further values for the log."""
        raise TypeError(f"{type(self).__name__} must define act()")

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """When a rollout is due: free the gradients, act, log, and call ``on_rollout_end`` of the callbacks."""
        if not self.starts_rollout(batch):
            return
        # Lightning frees gradients only after the next forward, but sampling can use their memory.
        for optimizer in self.trainer.optimizers:
            optimizer.zero_grad(set_to_none=True)
        started = time.perf_counter()
        phase, values = self.act(batch)
        seconds = time.perf_counter() - started
        # All ranks decide together: a rank that stops alone would leave the others waiting for its gradients.
        if self.trainer.strategy.reduce_boolean_decision(_has_bad_logps(phase), all=False):
            raise TrainingDiverged(f"step {self.trainer.global_step + 1}: {_BAD_LOGPS}")
        metrics = rollout_metrics(phase, tolerance=self.effective_tolerance, seconds=seconds)
        self.log_dict({**metrics, **values, **engine_metrics(self.engine)}, batch_size=1)
        for callback in self._callbacks:
            if isinstance(callback, RolloutObserver):
                callback.on_rollout_end(self.trainer, self, phase)

    @property
    def _callbacks(self) -> list[L.Callback]:
        return self.trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]

    def _reward_table(self, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]]) -> RewardTable:
        """Return the scores (P, G) of completions; in training, running statistics are updated with them."""
        # Rewards see N = P x G completions in one row: (P, G) -> (N,) -> (P, G)
        repeated = [prompt for prompt, group in zip(prompts, completions, strict=True) for _ in group]
        flat = [completion for group in completions for completion in group]
        table = self.reward(repeated, flat, sum_over_ranks=self._sum_over_ranks if self.trainer.training else None)
        return table.view(len(prompts), -1)

    def _sum_over_ranks(self, sums: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(sums, reduce_op="sum")

    # --- hooks of Lightning ---------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Refuse data that the reward or the benchmark cannot read; Lightning has called ``setup`` of the data before.

        Raises:
            ConfigError: a column of the reward is missing, or no held-out prompt is a question of the benchmark.
        """
        data = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(data, PromptColumns):
            self.reward.check_columns(data.column_names)
            self.evaluation_config.check_prompts(data.prompts, stage)

    def on_fit_start(self) -> None:
        """Refuse FSDP1, and callbacks that read a signal that no callback publishes."""
        if isinstance(self.trainer.strategy, FSDPStrategy):
            raise ConfigError(
                f"trainer.strategy fsdp (FSDP1) cannot train {type(self).__name__}: it has whole weights inside of a "
                "training step only, and sampling happens outside; use configs/hardware/fsdp2.yaml."
            )
        check_signals(self._callbacks)

    def teardown(self, stage: str) -> None:
        """Shut the engine down, with the processes that it started."""
        del stage
        self.engine.shut_down()

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Sample, score and judge a batch of held-out prompts; return the scored completions, for callbacks."""
        return self._evaluate(batch, batch_idx)[0]

    def test_step(self, batch: Sequence[Prompt], batch_idx: int) -> Any:
        """Do the same as ``validation_step``; return the scored greedy completions, one for each prompt."""
        return self._evaluate(batch, batch_idx)[1]

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self._log_evaluation("test")

    def predict_step(self, batch: Sequence[Prompt], batch_idx: int) -> RolloutPhase:
        """Return scored groups, without advantages."""
        # The seed depends on the prompts and not on the index of the batch. So a run that skips finished batches
        # samples the same completions for the rest.
        seed = position_seed(self.seed, "predict", batch[0].uid)
        return self.score(batch, self.sample(batch, self.sampling, seed=seed))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the signals and the state of the reward: weights, thresholds, running statistics."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["signals"] = self.signals.state_dict()
        checkpoint["reward"] = self.reward.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the signals and the state of the reward."""
        super().on_load_checkpoint(checkpoint)
        self.signals.load_state_dict(checkpoint["signals"])
        self.reward.load_state_dict(checkpoint["reward"])

    # --- evaluation -----------------------------------------------------------------------------------------

    def _evaluate(self, prompts: Sequence[Prompt], batch_idx: int) -> tuple[RolloutPhase, RolloutPhase]:
        """Add several sampled completions and one greedy completion of each prompt to the metrics, and return both."""
        config = self.evaluation_config
        seed = position_seed(config.seed, "evaluation", batch_idx, self.global_rank)
        several = replace(self.sampling, group_size=config.num_samples)
        sampled = self.score(prompts, self.sample(prompts, several, seed=seed))  # (P, G)
        if _has_bad_logps(sampled):
            raise TrainingDiverged(f"evaluation: {_BAD_LOGPS}")
        likeliest = replace(self.sampling, group_size=1, temperature=0.0)
        greedy = self.score(prompts, self.sample(prompts, likeliest, seed=seed))  # (P, 1)
        greedy_accuracy = greedy.scores.parts["accuracy"][:, 0].float()  # (P,), NaN where it is unknown
        self.evaluation.update(sampled, greedy_accuracy=greedy_accuracy)
        self.evaluation.add_greedy(prompts, [group[0] for group in greedy.completions])
        return sampled, greedy

    def _log_evaluation(self, split: str) -> None:
        values: dict[str, Any] = {f"{split}/{name}": value for name, value in self.evaluation.compute().items()}
        # The values are equal on all ranks already, so averaging over ranks changes nothing; without sync_dist
        # Lightning warns.
        self.log_dict(values, sync_dist=True)
        self.evaluation.reset()
