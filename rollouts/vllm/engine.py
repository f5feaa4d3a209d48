"""vLLM in the training process: weights go over in memory, and on GPUs it sleeps while the learner works.

sync: wake weights -> take what has changed -> wake cache    generate    release: sleep
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from algorithms import Completion, ConfigError, Prompt
from rollouts.engine import CountedWeights, EngineError, RolloutEngine, SamplingConfig
from rollouts.vllm.model import VLLMModel
from rollouts.vllm.settings import VLLMSettings, completions_of, policy_files, requests_of

logger = logging.getLogger(__name__)


class VLLMEngine(RolloutEngine):
    """Samples with a copy of the policy in vLLM, one on every rank."""

    def __init__(
        self,
        settings: VLLMSettings = VLLMSettings(),  # noqa: B008  (frozen)
        sleep_level: int = 0,
    ) -> None:
        """Remember the settings; vLLM starts with the first rollout.

        Args:
            settings: how vLLM runs the policy.
            sleep_level: what it frees while the learner works: 0 nothing; 1 the cache, its weights go to host memory;
                2 both, so that all weights go over anew for every rollout. CPUs know 0 only.
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
        args = settings.engine_args | ({"enable_sleep_mode": True} if sleep_level else {})
        self.settings, self.sleep_level = replace(settings, engine_args=args), sleep_level
        self._model: VLLMModel | None = None
        self._policy: Any = None
        self._holds: tuple[int, int] | None = None
        self._is_asleep = False

    def sync(self, policy: Any, *, version: int) -> None:
        """Take the weights that changed since the last time; all of them the first time, none for the same version."""
        if self._holds == (id(policy), version) and not self._is_asleep:
            return
        started = time.perf_counter()
        if policy is not self._policy:
            self.shut_down()
        if self._model is None:
            self._model = VLLMModel(policy_files(policy), self.settings)
        is_complete = self._holds is not None and self.sleep_level < 2
        if self._is_asleep:
            self._model.wake(what="weights")
        self._policy, self._holds = policy, None  # until all is there
        counted = CountedWeights(policy.stream_weights(only_trainable=is_complete))
        self._model.load(counted)
        if self._is_asleep:
            self._model.wake(what="kv_cache")
        self._is_asleep, self._holds = False, (id(policy), version)
        self.last_sync = counted.report(time.perf_counter() - started)

    def generate(
        self, prompts: Sequence[Prompt], *, group_size: int, sampling: SamplingConfig, seed: int
    ) -> list[list[Completion]]:
        """Return ``group_size`` completions for each prompt, in order; a failure is tried once more.

        Raises:
            EngineError: when it fails twice.
        """
        if self._model is None or self._holds is None:
            raise EngineError("vLLM has no weights yet: sync() comes before generate().")
        requests = requests_of(self._policy, prompts, group_size=group_size, sampling=sampling, seed=seed)
        try:
            groups = self._model.generate(requests)
        except Exception as first:
            logger.warning("vLLM failed and tries again: %s", first)
            self.num_restarts += 1
            try:
                groups = self._model.generate(requests)
            except Exception as error:
                raise EngineError(f"vLLM failed twice on the same {len(prompts)} prompts: {error}") from error
        return completions_of(self._policy, prompts, groups, group_size=group_size)

    def release(self) -> None:
        """Sleep, if it is allowed to."""
        if self._model is not None and self.sleep_level and not self._is_asleep:
            self._model.sleep(self.sleep_level)
            self._is_asleep = True

    def shut_down(self) -> None:
        """Free the copy."""
        if self._model is not None:
            self._model.close()
        self._model, self._holds, self._is_asleep = None, None, False
