"""The trainer's end of vLLM's weight transfer, which vLLM 0.32 brings for reinforcement learning.

    rank 0     stream -> vLLM's trainer engine -> NCCL or gloo -> vLLM's workers
    all ranks  stream: gathering sharded weights is a collective call per tensor

Steps are HTTP calls of this project, with the server's token; tensors go over a process group of their own.
"""

# pyright: reportMissingImports=false
# vLLM is an extra.

import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from torch import Tensor
from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource
from vllm.distributed.weight_transfer.clients import HTTPVLLMWeightSyncClient
from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory
from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

from rollouts.engine import CountedWeights, EngineError
from rollouts.vllm.weights.gloo_backend import GlooTrainerInitInfo, register

Stream = Callable[[], Iterator[tuple[str, Tensor]]]
Post = Callable[[str, dict[str, Any] | None], None]


class WeightTransfer:
    """One run's connection to the workers of one server; every rank has one, and calls every method."""

    def __init__(
        self, backend: str, post: Post, *, rank: int, server: str, num_workers: int, tied: Mapping[str, str]
    ) -> None:
        """Meet the server's workers.

        Args:
            backend: ``nccl`` or ``gloo``.
            post: function that sends a step's name and arguments to the server, and returns when the step is done.
            rank: rank of this process; rank 0 sends.
            server: ``HOST:PORT``, by which the workers' machine is reached.
            num_workers: processes that the server's model is spread over.
            tied: for each further name of a tied tensor the name under which it is sent.

        Raises:
            EngineError: when the workers cannot be reached.
        """
        self._source = _Source()
        place: dict[str, Any] = {
            "rank": rank, "master_address": _address_towards(server), "master_port": _free_port(),
            "world_size": 1 + num_workers,
        }  # fmt: skip
        register()
        init: Any = NCCLTrainerInitInfo(**place) if backend == "nccl" else GlooTrainerInitInfo(**place, tied=dict(tied))
        try:
            self._engine: Any = WeightTransferTrainerFactory.trainer_init(
                init, client=_Client(post), source=self._source
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"the workers of the server could not be met over {backend}: {error}") from error

    def send(self, stream: Stream, counted: CountedWeights, *, kind: str) -> None:
        """Send an update, and return when the server has all of it.

        Args:
            stream: function that starts a new stream of the tensors, each under one name.
            counted: the tensors to send; they can be read once.
            kind: key that is equal for streams with equal names, types and shapes.

        Raises:
            EngineError: when the transfer broke off; the connection cannot be used after that.
        """
        self._source.take(stream, counted, kind)
        try:
            self._engine.send_weights()
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"the transfer of weights broke off: {error}") from error
        finally:
            # The other ranks gather to the end, and then wait for rank 0.
            for _ in counted:
                pass

    def close(self) -> None:
        """Leave the group."""
        self._engine.shutdown()


class _Source(WeightSource):
    """An update as vLLM reads it: first names, types and shapes, then the tensors."""

    def __init__(self) -> None:
        self._described: dict[str, list[ParamMeta]] = {}

    def take(self, stream: Stream, counted: CountedWeights, kind: str) -> None:
        self._stream, self._counted, self._kind = stream, counted, kind

    def metadata(self) -> list[ParamMeta]:
        if self._kind not in self._described:
            # The dtype of weight plus update is known only after adding, so one pass over the stream collects names,
            # types and shapes only.
            self._described[self._kind] = [
                ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self._stream()
            ]
        return self._described[self._kind]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        return iter(self._counted)


class _Client(HTTPVLLMWeightSyncClient):
    """vLLM's own client, except that its requests show the server's token and the run's session."""

    def __init__(self, post: Post) -> None:
        super().__init__("")
        self._send = post

    def _post(self, path: str, json: dict[str, Any] | None = None) -> None:
        self._send(path, json)


def _address_towards(server: str) -> str:
    """Return this machine's address on the way to another machine."""
    place = urlsplit(f"//{server}")
    # A datagram socket: no packet is sent, the system only chooses the route.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((place.hostname, place.port or 80))
        return probe.getsockname()[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]
