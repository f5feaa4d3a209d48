"""FSDP2 over all ranks: Lightning's ModelParallelStrategy, with the precisions by which modules shard themselves.

trainer: {strategy: {class_path: lightning_modules.FSDP2Strategy}, devices: N, num_nodes: M}     M x N slices
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from algorithms import ConfigError
from models import Sharding
from rollouts import gather_ranks
from storage import VALUES_NAME, load_slices

Dtype = Literal["float32", "bfloat16"]


class FSDP2Strategy(ModelParallelStrategy):
    """Spreads weights, gradients and optimizer states over all ranks. Modules shard their models in configure_model."""

    def __init__(
        self,
        param_dtype: Dtype = "bfloat16",
        reduce_dtype: Dtype = "float32",
        frozen_dtype: Dtype = "bfloat16",
        sharded_checkpoints: bool = True,
        process_group_backend: str | None = None,
    ) -> None:
        """Set precisions and the kind of checkpoints.

        Args:
            param_dtype: type of gathered weights and activations; slices that learn are kept in 32 bits.
            reduce_dtype: type in which gradients are averaged over ranks.
            frozen_dtype: type in which slices of frozen parts are kept. ``bfloat16`` halves their memory, and loses
                nothing where ``param_dtype`` is the same.
            sharded_checkpoints: True: a folder to which each rank writes its slices; FSDP2 can load the weights with
                any number of ranks. False: one file, gathered by rank 0, which any strategy can load.
            process_group_backend: null: nccl on GPUs, gloo on CPUs.
        """
        super().__init__(save_distributed_checkpoint=sharded_checkpoints, process_group_backend=process_group_backend)
        self.param_dtype: Dtype = param_dtype
        self.reduce_dtype: Dtype = reduce_dtype
        self.frozen_dtype: Dtype = frozen_dtype

    def setup_environment(self) -> None:
        """Put all ranks into one dimension."""
        # Lightning's default is tensor parallelism within a node.
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Load weights and optimizer states from a folder of slices, or from one file of any strategy.

        Raises:
            ConfigError: when other parameters learned in the run that wrote a checkpoint, or slices hold more than
                tensors and plain values.
        """
        # All ranks load from the path of rank 0.
        path = Path(self.broadcast(checkpoint_path))
        if path.is_dir():
            return self._load_folder(path)
        # Lightning numbers a file's optimizer parameters as if no parameter were frozen. So Lightning loads no
        # optimizer here, and the states are loaded by name below.
        optimizers, self.optimizers = self.optimizers, []
        try:
            checkpoint = super().load_checkpoint(path, weights_only)
        finally:
            self.optimizers = optimizers
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        # Not strict, because a checkpoint that holds only weights has no optimizer states.
        for optimizer, saved in zip(optimizers, checkpoint.get("optimizer_states", ()), strict=False):
            assert self.model is not None
            set_optimizer_state_dict(self.model, optimizer, _by_name(saved, optimizer, self.model), options=options)
        return checkpoint

    def _load_folder(self, folder: Path) -> dict[str, Any]:
        """Load a folder of slices as Lightning does, but without running code that the folder may contain."""
        assert self.model is not None
        try:
            weights = {"state_dict": get_model_state_dict(self.model)}
            load_slices(weights, folder)
            self.model.load_state_dict(weights["state_dict"])
            for number, optimizer in enumerate(self.optimizers):
                # A new optimizer has no states yet; they are created here, so that slices can be loaded into them.
                states = {f"optimizer_{number}": get_optimizer_state_dict(self.model, optimizer)}
                load_slices(states, folder)
                options = StateDictOptions(cpu_offload=True)
                set_optimizer_state_dict(self.model, optimizer, states[f"optimizer_{number}"], options=options)
        except CheckpointException as error:
            reasons = {str(cause).splitlines()[0] for cause, _ in error.failures.values()}
            raise ConfigError(f"ckpt_path {folder} cannot be read: {'; '.join(sorted(reasons))}.") from None
        return torch.load(folder / VALUES_NAME, map_location="cpu", weights_only=True)

    @property
    def sharding(self) -> Sharding:
        """The mesh and the precisions by which modules shard themselves; known once the processes have started."""
        return Sharding(
            mesh=self.device_mesh["data_parallel"],
            device=self.root_device,
            param_dtype=self.param_dtype,
            reduce_dtype=self.reduce_dtype,
            frozen_dtype=self.frozen_dtype,
        )


def _by_name(saved: dict[str, Any], optimizer: Optimizer, model: nn.Module) -> dict[str, Any]:
    """Return an optimizer's saved state with parameter names instead of numbers.

    A file numbers the learning parameters in the order of the optimizer.
    """
    # An optimizer knows its parameters but not their names.
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    learning = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if len(numbers) != len(learning):
        raise ConfigError(
            f"ckpt_path: {len(numbers)} tensors learned in the run that wrote the checkpoint and {len(learning)} learn "
            "in this one; resume with the same model.learning."
        )
    named = dict(zip(numbers, learning, strict=True))
    return {
        "state": {named[number]: state for number, state in saved["state"].items()},
        "param_groups": [
            {**group, "params": [named[number] for number in group["params"]]} for group in saved["param_groups"]
        ],
    }


def sharding_of(trainer: L.Trainer | None) -> Sharding | None:
    """Return how a trainer spreads weights over ranks; None when it does not, or without a trainer.

    Raises:
        ConfigError: for Lightning's own ModelParallelStrategy, under which nothing would be sharded or averaged.
    """
    strategy = None if trainer is None else trainer.strategy
    if isinstance(strategy, FSDP2Strategy):
        return strategy.sharding
    if isinstance(strategy, ModelParallelStrategy):
        raise ConfigError(
            "trainer.strategy is ModelParallelStrategy, which leaves sharding to the module without settings for it: "
            "use lightning_modules.FSDP2Strategy, as configs/hardware/fsdp2.yaml does."
        )
    return None


def check_equal_batches(trainer: L.Trainer, split: str, counts: Sequence[int | float]) -> None:
    """Refuse evaluation when ranks that share weights have different numbers of batches.

    Args:
        trainer: the trainer; when its ranks do not share weights nothing is checked.
        split: ``validation``, ``test`` or ``predict``.
        counts: number of batches of this rank in each loader.

    Raises:
        ConfigError: on all ranks alike; a collective call.
    """
    if sharding_of(trainer) is None:
        return
    everywhere = gather_ranks(counts)
    # All ranks gather weights together for each batch, so a rank with more batches would wait for ever.
    if any(of_rank != everywhere[0] for of_rank in everywhere):
        raise ConfigError(
            f"trainer.strategy FSDP2Strategy: ranks have {everywhere} {split} batches, and a rank with more batches "
            "would block, because weights are gathered from all ranks. Set data.reading.batch_size to at least 2, and "
            "have a prompt per rank."
        )
