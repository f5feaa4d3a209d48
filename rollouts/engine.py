"""What every rollout engine promises: prompts in, groups of sampled completions out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from algorithms import Completion, ConfigError, Prompt


class EngineError(RuntimeError):
    """An engine failed and could not be brought back."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How completions are drawn."""

    temperature: float = 1.0
    """Divides the logits, at sampling and in the loss alike. 0 takes the likeliest token."""

    max_new_tokens: int = 512
    """Longest completion in tokens; one that gets there is cut and finishes by ``length``."""

    group_size: int = 8
    """Completions per prompt."""

    def __post_init__(self) -> None:
        if self.temperature < 0.0:
            raise ConfigError(
                f"sampling.temperature must be at least 0, got {self.temperature}; 0 takes the likeliest token."
            )
        if self.max_new_tokens < 1:
            raise ConfigError(
                f"sampling.max_new_tokens must be at least 1, got {self.max_new_tokens}: nothing could be said."
            )


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """What handing the policy's weights to an engine took."""

    seconds: float
    num_tensors: int
    num_bytes: int


class CountedWeights:
    """Passes named tensors on, one at a time, and counts them."""

    def __init__(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Wait for somebody to iterate."""
        self._weights, self._num_tensors, self._num_bytes = weights, 0, 0

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what there is."""
        for name, tensor in self._weights:
            self._num_tensors += 1
            self._num_bytes += tensor.numel() * tensor.element_size()
            yield name, tensor

    def report(self, seconds: float) -> SyncReport:
        """Say what went through."""
        return SyncReport(seconds=seconds, num_tensors=self._num_tensors, num_bytes=self._num_bytes)


class RolloutEngine(Protocol):
    """Samples completions from the current policy. An engine of one's own inherits from it.

    Guarantees: groups in prompt order, ``group_size`` completions each; no banned token in a completion;
    log-probabilities of the tokens returned, as sampled; the same seed gives the same completions for a
    prompt at the same place, whatever else is in the batch. With several ranks every method is a collective call.
    """

    last_sync: SyncReport | None = None
    """The last time weights were handed over; None where the engine reads the learner's own."""

    num_restarts: int = 0
    """How often it was brought back after a failure."""

    def sync(self, policy: Any, *, version: int) -> None:
        """Use the policy's present weights from now on; ``version`` counts optimizer steps."""
        ...

    def generate(
        self, prompts: Sequence[Prompt], *, group_size: int, sampling: SamplingConfig, seed: int
    ) -> list[list[Completion]]:
        """Return ``group_size`` completions for each prompt.

        Raises:
            EngineError: when it failed and could not be brought back.
        """
        ...

    def release(self) -> None:
        """Free what only sampling needs; the next ``sync`` takes it back. By default nothing is held."""

    def shut_down(self) -> None:
        """End whatever runs; the engine can be used again after the next ``sync``. By default nothing runs."""
