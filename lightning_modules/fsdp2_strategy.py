"""FSDP2 over all ranks: Lightning's ModelParallelStrategy with what this project's modules need to know.

trainer: {strategy: {class_path: lightning_modules.FSDP2Strategy}, devices: N, num_nodes: M}     M x N slices
"""

from typing import Any, Literal

from lightning.pytorch.strategies import ModelParallelStrategy

from algorithms import ConfigError
from models import Sharding

Dtype = Literal["float32", "bfloat16"]


class FSDP2Strategy(ModelParallelStrategy):
    """Spreads weights, gradients and optimizer states over all ranks; modules shard themselves in configure_model."""

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
            param_dtype: of gathered weights and activations; slices that learn are kept in 32 bits.
            reduce_dtype: in which gradients are averaged over ranks.
            frozen_dtype: in which slices of frozen parts are kept; ``bfloat16`` halves them, and loses nothing where
                ``param_dtype`` is the same.
            sharded_checkpoints: True: a folder to which each rank writes its slices, resumed by FSDP2 with any number
                of ranks as far as weights go. False: one file, gathered by rank 0, which any strategy loads.
            process_group_backend: null: nccl on GPUs, gloo on CPUs.
        """
        super().__init__(save_distributed_checkpoint=sharded_checkpoints, process_group_backend=process_group_backend)
        self.param_dtype: Dtype = param_dtype
        self.reduce_dtype: Dtype = reduce_dtype
        self.frozen_dtype: Dtype = frozen_dtype

    def setup_environment(self) -> None:
        """Lay all ranks out in one dimension; Lightning's default would be tensor parallelism within a node."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()

    @property
    def sharding(self) -> Sharding:
        """What modules shard themselves by, once processes have started."""
        return Sharding(
            mesh=self.device_mesh["data_parallel"],
            device=self.root_device,
            param_dtype=self.param_dtype,
            reduce_dtype=self.reduce_dtype,
            frozen_dtype=self.frozen_dtype,
        )


def sharding_of(trainer: Any) -> Sharding | None:
    """Return how a trainer spreads weights over ranks, None where it does not.

    Raises:
        ConfigError: for Lightning's own ModelParallelStrategy, under which nothing would be sharded or averaged.
    """
    strategy = getattr(trainer, "strategy", None)
    if isinstance(strategy, FSDP2Strategy):
        return strategy.sharding
    if isinstance(strategy, ModelParallelStrategy):
        raise ConfigError(
            "trainer.strategy is ModelParallelStrategy, which leaves sharding to the module and does not say how: use "
            "lightning_modules.FSDP2Strategy, as configs/hardware/fsdp2.yaml does."
        )
    return None
