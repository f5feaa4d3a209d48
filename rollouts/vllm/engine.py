"""vLLM in the training process: weights are copied in memory, and on GPUs vLLM can sleep while the learner works.

sync: wake weights -> copy what has changed -> wake cache    generate    release: sleep
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from algorithms import ConfigError
from rollouts.engine import CountedWeights, EngineError
from rollouts.policy_view import SampledPolicy
from rollouts.vllm.copy_engine import CopyEngine
from rollouts.vllm.model import VLLMModel
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.settings import VLLMSettings

logger = logging.getLogger(__name__)


class VLLMEngine(CopyEngine):
    """Samples with a copy of the policy in vLLM, one on every rank."""

    def __init__(
        self,
        settings: VLLMSettings = VLLMSettings(),  # noqa: B008  (frozen)
        sleep_level: int = 0,
    ) -> None:
        """Remember the settings; vLLM starts with the first rollout.

        Args:
            settings: how vLLM runs the policy.
            sleep_level: what vLLM frees while the learner works. 0: nothing. 1: the cache, and its weights move to host
                memory. 2: both, so that all weights are copied anew for every rollout. Without a GPU only 0 works.
        """
        if sleep_level not in (0, 1, 2):
            raise ConfigError(f"model.engine.sleep_level must be 0, 1 or 2, got {sleep_level}.")
        if sleep_level and not torch.cuda.is_available():
            raise ConfigError(f"model.engine.sleep_level must be 0 where there is no GPU, got {sleep_level}.")
        if settings.tensor_parallel_size > 1:
            raise ConfigError(
                f"model.engine.settings.tensor_parallel_size must be 1 for rollouts.VLLMEngine, which runs one copy "
                f"per rank, got {settings.tensor_parallel_size}: rollouts.VLLMServerEngine spreads a model over GPUs."
            )
        if settings.weight_transfer != "http":
            raise ConfigError(
                "model.engine.settings.weight_transfer is for rollouts.VLLMServerEngine: leave it out, because "
                "rollouts.VLLMEngine gets its weights in the same process, without a transfer."
            )
        # vLLM can sleep only if it was built with this setting.
        args = settings.engine_args | ({"enable_sleep_mode": True} if sleep_level else {})
        super().__init__(replace(settings, engine_args=args))
        self.sleep_level = sleep_level
        self._model: VLLMModel | None = None
        self._is_asleep = False

    def sync(self, policy: SampledPolicy, *, version: int) -> None:
        """Copy the weights that changed since the last time; all of them the first time, none for the same version."""
        if self._has_weights_of(policy, version) and not self._is_asleep:
            return
        started = time.perf_counter()
        # A copy has the shapes and files of its policy, so another policy needs another copy.
        if policy is not self._policy:
            self.shut_down()
        if self._model is None:
            self._model = VLLMModel(self._policy_files(policy), self.settings)
        # Weights that do not learn are in the copy already, unless it was never filled or sleeping dropped them.
        has_frozen = self._version is not None and self.sleep_level < 2
        if self._is_asleep:
            self._model.wake(what="weights")
        self._policy, self._version = policy, None  # until all tensors have arrived
        counted = CountedWeights(policy.stream_weights(only_trainable=has_frozen, merge_lora=self.merges_lora))
        self._model.load(counted)
        # The cache takes its memory last, when no tensor is being copied any more.
        if self._is_asleep:
            self._model.wake(what="kv_cache")
        self._is_asleep, self._version = False, version
        self.last_sync = counted.report(time.perf_counter() - started)

    def release(self) -> None:
        """Sleep, where ``sleep_level`` allows it."""
        if self._model is not None and self.sleep_level and not self._is_asleep:
            self._model.sleep(self.sleep_level)
            self._is_asleep = True

    def shut_down(self) -> None:
        """Free the copy."""
        if self._model is not None:
            self._model.close()
        self._model, self._version, self._is_asleep = None, None, False

    def _sample(self, requests: Sequence[SampleRequest]) -> list[SampledGroup]:
        assert self._model is not None  # it has weights
        try:
            return self._model.generate(requests)
        except Exception as first:
            logger.warning("vLLM failed and tries again: %s", first)
            self.num_restarts += 1
        # Outside of the except block: its error would keep the memory of the failed call alive.
        try:
            return self._model.generate(requests)
        except Exception as error:
            raise EngineError(f"vLLM failed twice on the same {len(requests)} prompts: {error}") from error
