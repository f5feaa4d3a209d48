"""The rollout that an engine samples while the learner learns from the rollout before it.

    start of rollout n:  finish n  ->  present weights to the engine  ->  start n + 1  ->  score n, learn from n

So rollout n + 1 is sampled by the weights that the policy has when it begins to learn from rollout n. When the turn of
rollout n + 1 comes, these weights are ``micro_batches / accumulate_grad_batches`` optimizer steps old, never more.
"""

from collections.abc import Sequence
from typing import Any

from algorithms import Completion, ConfigError, Prompt
from rollouts import RolloutEngine, Sampled, SamplingConfig


def check_rollouts_ahead(rollouts_ahead: int, engine: RolloutEngine, *, cap: float | None, max_attempts: int) -> None:
    """Refuse settings with which no rollout can be sampled ahead, or with which the learner could not use it.

    Args:
        rollouts_ahead: number of rollouts that are sampled ahead.
        engine: the engine that samples.
        cap: largest weight of truncated importance sampling; None: it is off.
        max_attempts: most times that a rollout samples.

    Raises:
        ConfigError: names the key, its value and what is allowed.
    """
    if rollouts_ahead not in (0, 1):
        raise ConfigError(
            f"model.rollouts_ahead must be 0 or 1, got {rollouts_ahead}: further rollouts would be older when they are "
            "learnt from, and an engine has one to sample at a time."
        )
    if not rollouts_ahead:
        return
    if not engine.samples_apart:
        raise ConfigError(
            f"model.rollouts_ahead must be 0 with {type(engine).__name__}, got 1: it samples in the learner's process "
            "and cannot do so while that learns; configs/engines/vllm_async.yaml has an engine that can."
        )
    if cap is None:
        raise ConfigError(
            "model.grpo.engine_ratio_cap must be a number with model.rollouts_ahead 1, got null: the weights that "
            "sample are a rollout older than those that learn, which truncated importance sampling corrects; 2 is "
            "usual."
        )
    if max_attempts > 1:
        raise ConfigError(
            f"model.max_attempts must be 1 with model.rollouts_ahead 1, got {max_attempts}: whether to sample again is "
            "known when a rollout is scored, and then the engine has the next one to sample."
        )


class RolloutAhead:
    """Holds at most one rollout, which is in flight, or sampled and waiting for its turn."""

    def __init__(self, engine: RolloutEngine) -> None:
        """Start without a rollout."""
        self._engine = engine
        self._number: int | None = None
        self._sampled: Sampled | None = None

    def start(self, number: int, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> None:
        """Make the engine begin a rollout with its present weights.

        Args:
            number: number of the rollout.
            prompts: its prompts on this rank.
            sampling: how completions are drawn.
            seed: seed of the draws.
        """
        self._engine.start(prompts, sampling, seed=seed)
        self._number = number

    def take(self, number: int, *, version: int) -> Sampled | None:
        """Wait for the engine and return this rollout; None when it was not begun.

        Args:
            number: number of the rollout whose turn it is.
            version: optimizer steps behind the policy's present weights.

        Raises:
            ConfigError: when another rollout was begun, because the run was resumed with other settings.
        """
        if self._number is None:
            return None
        if self._number != number:
            raise ConfigError(
                f"rollout {self._number} was sampled ahead, but training goes on with rollout {number}: resume with "
                "the data.micro_batches that the checkpoint was written with."
            )
        sampled = self._land(version)
        self.forget()
        return sampled

    def forget(self) -> None:
        """Give up the rollout, as at the end of a run."""
        self._number = self._sampled = None

    def state_dict(self, *, version: int) -> dict[str, Any]:
        """Wait for the rollout, and return it as plain values and tensors.

        The completions are stored and not sampled again, because the weights that sampled them no longer exist.
        """
        if self._number is None:
            return {}
        sampled = self._land(version)
        return {
            "number": self._number,
            "policy_version": sampled.policy_version,
            "groups": [[_plain(completion) for completion in group] for group in sampled.groups],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the sampled rollout."""
        self.forget()
        if state:
            groups = [[Completion(**values) for values in group] for group in state["groups"]]
            # 0 seconds, because this run did not wait for it.
            self._sampled = Sampled(groups=groups, policy_version=state["policy_version"], seconds=0.0)
            self._number = state["number"]

    def _land(self, version: int) -> Sampled:
        if self._sampled is None:
            self._sampled = self._engine.finish(version=version)
        return self._sampled


def _plain(completion: Completion) -> dict[str, Any]:
    return {
        "token_ids": completion.token_ids,
        "behavior_logps": completion.behavior_logps,
        "text": completion.text,
        "finish_reason": completion.finish_reason,
    }
