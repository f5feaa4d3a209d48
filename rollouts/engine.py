"""What every rollout engine promises: prompts in, groups of sampled completions out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from algorithms import Completion, ConfigError, Prompt


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How completions are drawn."""

    temperature: float = 1.0
    """Divides the logits, at sampling and in the loss alike. 0 takes the likeliest token."""

    max_new_tokens: int = 512
    """Longest completion in tokens; one that gets there is cut and finishes by ``length``."""

    def __post_init__(self) -> None:
        if self.temperature < 0.0:
            raise ConfigError(
                f"sampling.temperature must be at least 0, got {self.temperature}; 0 takes the likeliest token."
            )
        if self.max_new_tokens < 1:
            raise ConfigError(
                f"sampling.max_new_tokens must be at least 1, got {self.max_new_tokens}: nothing could be said."
            )


class RolloutEngine(Protocol):
    """Samples completions from the current policy.

    Guarantees: groups in prompt order, ``group_size`` completions each; no banned token in a completion;
    log-probabilities of the tokens returned, as sampled; the same seed gives the same completions for a
    prompt at the same place, whatever else is in the batch.
    """

    def sync(self, policy: Any, *, version: int) -> None:
        """Use the policy's present weights from now on; ``version`` counts optimizer steps."""
        ...

    def generate(
        self, prompts: Sequence[Prompt], *, group_size: int, sampling: SamplingConfig, seed: int
    ) -> list[list[Completion]]:
        """Return ``group_size`` completions for each prompt."""
        ...
