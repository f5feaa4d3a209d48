"""The contract of every rollout engine: prompts in, groups of sampled completions out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from algorithms import Completion, ConfigError, Prompt, check_at_least
from rollouts.policy_view import SampledPolicy


class EngineError(RuntimeError):
    """An engine failed and could not be brought back."""


# At lower temperatures the divided logits are so large that 32-bit floats can no longer tell them apart.
_LEAST_TEMPERATURE = 0.01


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How completions are drawn."""

    # GRPO needs at least 2, which its module checks; evaluation and DropoutNTP sample one completion.
    group_size: int = 8
    """Completions per prompt."""

    temperature: float = 1.0
    """Divides the logits, at sampling and in the loss alike. 0 takes the likeliest token."""

    max_new_tokens: int = 512
    """Longest completion in tokens; a completion that reaches it is cut, with the finish reason ``length``."""

    def __post_init__(self) -> None:
        check_at_least("model.sampling.group_size", self.group_size, 1, "no prompt would get a completion")
        check_at_least("model.sampling.temperature", self.temperature, 0, "0 takes the likeliest token")
        if math.isinf(self.temperature):
            raise ConfigError(
                "model.sampling.temperature must be finite, got inf: every token would be equally likely."
            )
        check_at_least("model.sampling.max_new_tokens", self.max_new_tokens, 1, "every completion would be empty")

    def check_for_learning(self) -> None:
        """Refuse a temperature that works for sampling but not for learning from the samples.

        Raises:
            ConfigError: for a temperature below 0.01.
        """
        why = (
            "the loss divides logits by it too, and with the likeliest token always taken all completions of a prompt "
            "are equal; validation takes the likeliest token by itself"
        )
        check_at_least("model.sampling.temperature", self.temperature, _LEAST_TEMPERATURE, why)


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """How much was copied from the policy to an engine, and how long it took."""

    seconds: float
    num_tensors: int
    num_bytes: int


class CountedWeights:
    """Passes named tensors on, one at a time, and counts them."""

    def __init__(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take the tensors; the first one is read when iteration starts."""
        # All loops over this object share one iterator: a second loop continues where the first one stopped.
        self._weights = iter(weights)
        self._num_tensors = self._num_bytes = 0

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors that no earlier loop has read."""
        for name, tensor in self._weights:
            self._num_tensors += 1
            self._num_bytes += tensor.numel() * tensor.element_size()
            yield name, tensor

    def report(self, seconds: float) -> SyncReport:
        """Return the counts of all tensors read so far."""
        return SyncReport(seconds=seconds, num_tensors=self._num_tensors, num_bytes=self._num_bytes)


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Completions that an engine sampled while the learner went on."""

    groups: list[list[Completion]]
    """The completions, as ``RolloutEngine.generate`` returns them."""

    policy_version: int
    """Optimizer steps behind the weights that sampled."""

    seconds: float
    """How long the engine took."""


class RolloutEngine(ABC):
    """Samples completions from the current policy. A new engine inherits from this class.

    Guarantees: groups in prompt order, ``sampling.group_size`` completions each; no banned token in a completion;
    log-probabilities of the tokens returned, as sampled; the same seed gives the same completions for a
    prompt at the same place, whatever else is in the batch. With several ranks every method is a collective call.

    An engine that ``samples_apart`` has ``start``, ``finish`` and ``wait`` besides: one rollout may be in flight while
    the learner goes on. ``sync`` waits until this rollout ends, so all its completions are sampled by the weights it
    was started with.
    """

    # Class attributes, so that an engine without copies and failures need not set them.
    last_sync: SyncReport | None = None
    """The last copy of weights; None where the engine reads the learner's own weights."""

    num_restarts: int = 0
    """How often the engine was brought back after a failure."""

    samples_apart: bool = False
    """Whether the engine samples in another process, from a copy of the weights, while the learner goes on."""

    @abstractmethod
    def sync(self, policy: SampledPolicy, *, version: int) -> None:
        """Use the policy's present weights from now on.

        Args:
            policy: what to sample from.
            version: optimizer steps behind its weights.
        """

    @abstractmethod
    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        """Return ``sampling.group_size`` completions for each prompt, in the order of the prompts.

        Raises:
            EngineError: when the engine has no weights yet, or failed and could not be brought back.
        """

    def start(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> None:
        """Start sampling as ``generate`` does, and return at once; ``finish`` gives the completions.

        Raises:
            EngineError: while another rollout is in flight, and when this engine does not sample apart.
        """
        raise EngineError(f"{type(self).__name__} samples in the learner's process, and cannot do so while it learns.")

    def finish(self, *, version: int) -> Sampled:
        """Wait for the rollout that ``start`` began, and return it.

        Args:
            version: optimizer steps behind the policy's present weights. An engine that failed meanwhile samples the
                rollout again with these weights, because the earlier weights are gone.

        Raises:
            EngineError: when nothing is in flight, and when the engine failed and could not be brought back.
        """
        raise EngineError(f"{type(self).__name__} has no rollout in flight: call start() before finish().")

    # Doing nothing is right for most engines, so this method and the three below have empty defaults.
    def check_lora(self, ranks: Mapping[str, int]) -> None:  # noqa: B027
        """Refuse LoRA updates that this engine could not sample with; by default no update is refused.

        Args:
            ranks: largest rank of the updates in each part that has any.

        Raises:
            ConfigError: names the key to change.
        """

    def wait(self) -> None:  # noqa: B027
        """Block until no rollout of this rank is being sampled; what was sampled is kept for ``finish``."""

    def release(self) -> None:  # noqa: B027
        """Free what only sampling needs; the next ``sync`` takes it back. By default this does nothing."""

    def shut_down(self) -> None:  # noqa: B027
        """End every process and free all memory of the engine; the next ``sync`` starts it again.

        A rollout in flight is given up. By default this does nothing.
        """


def no_weights_yet(engine: RolloutEngine) -> EngineError:
    """Return the error of an engine that samples before it was given a policy."""
    return EngineError(f"{type(engine).__name__} has no weights yet: call sync() before generate().")
