"""An engine that simulates a server elsewhere: it samples from its own copy of the policy, and waits.

Tests and benchmarks share it. It sleeps while it waits, as for an answer over the network, so the learner has the
processor meanwhile.
"""

import atexit
import threading
import time
from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

from algorithms import Completion, Prompt
from models import Policy
from rollouts import (
    BackgroundCall,
    EngineError,
    RolloutEngine,
    Sampled,
    SampledPolicy,
    SamplingConfig,
    TransformersEngine,
)

Groups = list[list[Completion]]


class _Flight(NamedTuple):
    call: BackgroundCall[Groups]
    version: int


class SlowEngine(RolloutEngine):
    """Samples with the embedded engine from a copy, in a thread of its own."""

    samples_apart = True

    def __init__(self, seconds: float = 0.0, repeats: bool = False) -> None:
        """Set the speed.

        Args:
            seconds: least time of a rollout.
            repeats: sample only the first rollout and return its completions every time, so that the engine only waits;
                for benchmarks whose rollouts have one size.
        """
        self.seconds, self.repeats = seconds, repeats
        self._sampler = TransformersEngine()
        self._copied: SampledPolicy | None = None
        self._copy: Policy | None = None
        self._version = -1
        self._first: Groups = []
        self._flight: _Flight | None = None
        self._stop = threading.Event()
        # Torch must not compute in a thread while the interpreter ends.
        atexit.register(self.shut_down)

    def sync(self, policy: SampledPolicy, *, version: int) -> None:
        """Copy the policy's weights, once nothing is in flight."""
        if policy is self._copied and version == self._version:
            return
        self.wait()
        if policy is not self._copied or self._copy is None:
            self._copy, self._copied = copy_of(policy), policy
        # Buffers are copied too, and LoRA stays apart, because the copy has the same modules.
        self._copy.model.load_state_dict(policy.model.state_dict())
        self._version = version
        self._sampler.sync(self._copy, version=version)

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> Groups:
        """Return completions after ``seconds`` or more."""
        self.wait()
        return self._sample(prompts, sampling, seed)

    def start(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> None:
        """Begin to sample."""
        if self._flight is not None:
            raise EngineError("a rollout is in flight already: call finish() before the next start().")
        call = BackgroundCall(lambda: self._sample(prompts, sampling, seed), name="rollout in flight")
        self._flight = _Flight(call, self._version)

    def finish(self, *, version: int) -> Sampled:
        """Return the rollout in flight; raise the error of its thread."""
        if self._flight is None:
            return super().finish(version=version)
        flight, self._flight = self._flight, None
        groups = flight.call.result()
        return Sampled(groups=groups, policy_version=flight.version, seconds=flight.call.seconds)

    def wait(self) -> None:
        """Block until nothing is being sampled."""
        if self._flight is not None:
            self._flight.call.wait()

    def shut_down(self) -> None:
        """End the rollout in flight, and forget the copy."""
        self._stop.set()
        self.wait()
        self._stop.clear()
        self._flight, self._copied, self._copy, self._first = None, None, None, []

    def _sample(self, prompts: Sequence[Prompt], sampling: SamplingConfig, seed: int) -> Groups:
        began = time.perf_counter()
        if not (self.repeats and self._first):
            self._first = self._sampler.generate(prompts, sampling, seed=seed)
        self._stop.wait(self.seconds - (time.perf_counter() - began))
        return self._first


def copy_of(policy: SampledPolicy) -> Policy:
    """Return a policy with weights and a processor of its own, and with the same banned tokens."""
    copied = Policy(deepcopy(policy.model), deepcopy(policy.processor))
    copied.banned_token_ids = policy.banned_token_ids
    return copied
