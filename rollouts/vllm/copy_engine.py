"""Base of the two vLLM engines, which sample from a copy of the policy."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from algorithms import Completion, Prompt
from rollouts.engine import RolloutEngine, SamplingConfig, no_weights_yet
from rollouts.policy_view import SampledPolicy
from rollouts.vllm.policy_files import PolicyFiles, policy_files
from rollouts.vllm.requests import SampledGroup, SampleRequest, completions_of, requests_of
from rollouts.vllm.settings import VLLMSettings
from rollouts.vllm.weights.lora_adapter import check_served


class CopyEngine(RolloutEngine):
    """Records which weights the copy has. Subclasses copy the weights and sample."""

    def __init__(self, settings: VLLMSettings) -> None:
        """Remember how vLLM runs the policy."""
        self.settings = settings
        self._policy: SampledPolicy | None = None
        self._version: int | None = None
        """Version of the weights of the copy; None while they are not complete."""

    @property
    def merges_lora(self) -> bool:
        """Whether LoRA updates are added to their weights on the way."""
        return self.settings.lora == "merged"

    def check_lora(self, ranks: Mapping[str, int]) -> None:
        """Refuse LoRA updates that vLLM cannot apply beside its weights, where the settings ask for that.

        Raises:
            ConfigError: names the key to change.
        """
        if not self.merges_lora:
            check_served(ranks)

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        """Return ``sampling.group_size`` completions for each prompt, in order; a failed call is tried again.

        Raises:
            ConfigError: for a temperature that vLLM refuses.
            EngineError: before the first ``sync``, and when there were too many failures.
        """
        # The requests are made once: a repeated call has the same seeds, so a failure does not change the completions.
        requests = self._requests(prompts, sampling, seed)
        return self._completions(prompts, sampling, self._sample(requests))

    def _requests(self, prompts: Sequence[Prompt], sampling: SamplingConfig, seed: int) -> list[SampleRequest]:
        if (policy := self._policy) is None or self._version is None:
            raise no_weights_yet(self)
        return requests_of(policy, prompts, sampling, seed=seed)

    def _completions(
        self, prompts: Sequence[Prompt], sampling: SamplingConfig, sampled: Sequence[SampledGroup]
    ) -> list[list[Completion]]:
        assert self._policy is not None
        return completions_of(self._policy, prompts, sampled, group_size=sampling.group_size)

    @abstractmethod
    def _sample(self, requests: Sequence[SampleRequest]) -> list[SampledGroup]:
        """Return the completions of every request, in order."""

    def _policy_files(self, policy: SampledPolicy) -> PolicyFiles:
        self.check_lora(policy.lora_ranks)
        return policy_files(policy, lora_rank=0 if self.merges_lora else max(policy.lora_ranks.values()))

    def _has_weights_of(self, policy: SampledPolicy, version: int) -> bool:
        """Return whether the copy has exactly these weights."""
        # Policies are compared by identity, because two policies may have the same version.
        return policy is self._policy and version == self._version
