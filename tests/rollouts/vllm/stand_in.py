"""A model that takes vLLM's place, so that all code around vLLM is tested where vLLM is not installed."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from models import Policy
from rollouts.vllm.guard.limits import Limits
from rollouts.vllm.model_thread import ModelThread
from rollouts.vllm.policy_files import PolicyFiles
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.server import http_server
from rollouts.vllm.settings import VLLMSettings

# The same in every process: tests that are spread over processes are named after it.
TOKEN = "stand-in-" + "0123456789" * 4
"""Of every server that ``serving`` starts."""


class StandInModel:
    """Reads prompts with the learner's processor; says one token, which depends on all weights and on the seed."""

    policy: ClassVar[Policy]
    built: ClassVar[list["StandInModel"]] = []
    errors: ClassVar[list[Exception]] = []
    """What the next calls of ``generate`` raise, on whichever model."""

    def __init__(self, files: PolicyFiles, settings: VLLMSettings) -> None:
        self.files, self.settings, self.is_closed = files, settings, False
        self.weights: dict[str, Tensor] = {}
        self.loads: list[list[str]] = []
        self.batches: list[int] = []
        self.history: list[str] = []
        self.steps: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()
        self.built.append(self)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let calls of ``generate`` block until the context ends."""
        with self._lock:
            yield

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        new = {name: tensor.clone() for name, tensor in weights}
        self.history.append("load")
        self.loads.append(list(new))
        self.weights |= new

    def generate(self, requests: Sequence[SampleRequest]) -> list[SampledGroup]:
        self.history.append("generate")
        self.batches.append(len(requests))
        with self._lock:
            pass
        if self.errors:
            raise self.errors.pop(0)
        return [self._group(request) for request in requests]

    def transfer(self, step: str, arguments: dict[str, Any]) -> None:
        self.history.append(step)
        self.steps.append((step, arguments))

    def close(self) -> None:
        self.is_closed = True

    def _group(self, request: SampleRequest) -> SampledGroup:
        processor: Any = self.policy.processor
        text = processor.tokenizer.decode(request.prompt_ids)
        inputs = processor(text=[text], images=request.images or None, return_tensors="pt")
        total = sum(float(tensor.double().abs().sum()) for tensor in self.weights.values())
        generator = torch.Generator().manual_seed(request.seed % 2**32 + int(1000 * total))
        tokens = torch.randint(10, 40, (request.sampling.group_size,), generator=generator).tolist()
        return SampledGroup(inputs["input_ids"][0].tolist(), [[token] for token in tokens], [[-1.5]] * len(tokens))


def take_vllms_place(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let engines and servers build stand-ins that read prompts as this policy does."""
    monkeypatch.setattr("rollouts.vllm.engine.VLLMModel", StandInModel)
    monkeypatch.setattr("rollouts.vllm.model_thread.VLLMModel", StandInModel)
    monkeypatch.setattr(StandInModel, "policy", policy, raising=False)
    monkeypatch.setattr(StandInModel, "built", [])
    monkeypatch.setattr(StandInModel, "errors", [])


@contextmanager
def serving(model: ModelThread | None = None, limits: Limits | None = None, **kwargs: Any) -> Iterator[str]:
    """Serve in this process, and give the address."""
    model = model or ModelThread()
    server = http_server(model, "127.0.0.1", 0, TOKEN, limits=limits or Limits(), **kwargs)
    threading.Thread(target=model.run, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
