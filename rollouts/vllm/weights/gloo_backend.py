"""A backend of vLLM's weight transfer for machines without GPUs: vLLM's NCCL backend, but gloo sends the bytes.

    trainer  init, start, names and shapes, finish  --HTTP-->  server
             tensors                                --gloo-->

Only group and broadcast are code of this file. Handshake, order of calls, checks of names and shapes, and loading into
the model come from vLLM's NCCL classes, so this code of vLLM also runs, and is tested, without a GPU.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# vLLM is an extra.

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Self

import torch
import torch.distributed as dist
from torch import Tensor
from vllm.distributed.utils import stateless_init_torch_distributed_process_group
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory, WeightTransferTrainerFactory
from vllm.distributed.weight_transfer.nccl_common import NCCLWeightTransferInitInfo, worker_init_payload
from vllm.distributed.weight_transfer.nccl_engine import (
    NCCLTrainerInitInfo,
    NCCLTrainerWeightTransferEngine,
    NCCLWeightTransferEngine,
    NCCLWeightTransferUpdateInfo,
)

NAME = "gloo"
# The same time that vLLM waits for a rendezvous of NCCL.
_TIMEOUT = timedelta(seconds=300)


def register() -> None:
    """Make the backend known to vLLM in this process, by name."""
    # vLLM raises an error when the backend is registered already.
    with suppress(ValueError):
        WeightTransferEngineFactory.register_engine(NAME, __name__, "GlooEngine")
        WeightTransferTrainerFactory.register_engine(NAME, __name__, "GlooTrainerEngine")


class GlooGroup:
    """The trainer, rank 0, and the workers of one server, apart from every other process group."""

    def __init__(self, address: str, port: int, *, rank: int, world_size: int) -> None:
        """Block until all of them are there.

        Raises:
            RuntimeError: when they do not meet within five minutes.
        """
        self._group: Any = stateless_init_torch_distributed_process_group(
            address, port, rank, world_size, backend=NAME, timeout=_TIMEOUT
        )

    def broadcast(self, tensor: Tensor) -> None:
        """Send a contiguous tensor from rank 0, or overwrite it with what rank 0 sends.

        Raises:
            RuntimeError: when another process has ended, or does not answer for five minutes.
        """
        options = dist.BroadcastOptions()
        options.rootRank = options.rootTensor = 0
        # Sent as bytes, because gloo does not know every dtype.
        self._group.broadcast([tensor.reshape(-1).view(torch.uint8)], options).wait()

    def destroy(self) -> None:
        """Leave the group."""
        self._group = None


@dataclass(kw_only=True)
class GlooInitInfo(NCCLWeightTransferInitInfo):
    """What a worker needs to join the group."""

    tied: dict[str, str] = field(default_factory=dict[str, str])
    """For each further name of a tied tensor the name under which it is sent. The CPU backend copies the head when it
    packs it, so head and embeddings must both be loaded; on GPUs they stay one tensor."""


@dataclass
class GlooTrainerInitInfo(NCCLTrainerInitInfo):
    """What a rank of the trainer needs to join the group."""

    backend: ClassVar[str] = NAME

    tied: dict[str, str] = field(default_factory=dict[str, str])
    """As ``GlooInitInfo.tied``."""


class GlooEngine(NCCLWeightTransferEngine):
    """The worker's side."""

    init_info_cls = GlooInitInfo

    def init_transfer_engine(self, init_info: Any) -> None:
        """Join the trainer's group, as its only worker."""
        # A group of an earlier run is given up.
        self.shutdown()
        self._tied = init_info.tied
        self.model_update_group = GlooGroup(
            init_info.master_address, init_info.master_port, rank=init_info.rank_offset, world_size=init_info.world_size
        )

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """Receive an update."""
        # The base class would wait for an accelerator afterwards, and this machine has none.
        self.receive_weights(self.parse_update_info(update_info))

    def receive_weights(self, update_info: NCCLWeightTransferUpdateInfo) -> None:
        """Receive tensors one at a time, and load each under all of its names."""
        if self.model_update_group is None:
            raise RuntimeError("the trainer has not joined: init_weight_transfer_engine comes before update_weights.")
        described = zip(update_info.names, update_info.dtype_names, update_info.shapes, strict=True)
        for name, dtype, shape in described:
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            self.model_update_group.broadcast(tensor)
            names = [name, *(further for further, first in self._tied.items() if first == name)]
            self.model.load_weights([(one, tensor) for one in names])


class GlooTrainerEngine(NCCLTrainerWeightTransferEngine):
    """The trainer's side."""

    init_info_cls = GlooTrainerInitInfo

    @classmethod
    def trainer_init(cls, init_info: Any, *, client: Any, source: Any = None) -> Self:
        """Meet the worker; ranks but the first only take part in gathering."""
        engine = cls(client=client, source=source, is_sender=init_info.is_sender, packed=False)
        if not engine.is_sender:
            return engine
        worker = GlooInitInfo(
            master_address=init_info.master_address,
            master_port=init_info.master_port,
            rank_offset=1,
            world_size=init_info.world_size,
            tied=init_info.tied,
        )
        # Worker and trainer wait for each other, so the worker's call needs a thread of its own.
        with ThreadPoolExecutor(max_workers=1) as pool:
            met = pool.submit(client.init_weight_transfer_engine, worker_init_payload(worker))
            engine.model_update_group = GlooGroup(
                init_info.master_address, init_info.master_port, rank=0, world_size=init_info.world_size
            )
            met.result()
        return engine

    def _broadcast(self, source: Iterable[tuple[str, Tensor]], meta: list[Any]) -> None:
        if not self.is_sender:
            for _ in source:
                pass
            return
        for _, tensor in self._checked_iter(source, meta):
            self.model_update_group.broadcast(tensor.cpu().contiguous())
