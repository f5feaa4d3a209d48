"""Strategies that cannot work say so before anything is loaded or started."""

import pytest
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from algorithms import ConfigError
from cli.strategies import check_strategy, explained
from lightning_modules.strategy import sharding_of


class WithStrategy:
    """As much of a trainer as is looked at."""

    def __init__(self, strategy) -> None:
        self.strategy = strategy


@pytest.mark.parametrize("strategy", ["fsdp", "fsdp_cpu_offload", FSDPStrategy()])
def test_fsdp1_without_gpu_is_refused_with_what_to_use_instead(strategy) -> None:
    with pytest.raises(ConfigError, match=r"trainer.strategy fsdp .FSDP1. needs GPUs.*configs/hardware/fsdp2.yaml"):
        check_strategy({"strategy": strategy, "accelerator": "cpu"})


def test_fsdp1_with_clipping_by_norm_is_refused_and_by_value_is_not(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    gpu = {"strategy": "fsdp", "accelerator": "gpu", "gradient_clip_val": 1.0}
    with pytest.raises(ConfigError, match=r"trainer.gradient_clip_val is 1.0.*cannot clip by norm.*fsdp2.yaml"):
        check_strategy(gpu)
    check_strategy({**gpu, "gradient_clip_algorithm": "value"})
    check_strategy({**gpu, "gradient_clip_val": None})


def test_other_strategies_are_not_judged() -> None:
    for strategy in ("auto", "ddp", None):
        check_strategy({"strategy": strategy, "accelerator": "cpu", "gradient_clip_val": 1.0})


def test_lightnings_own_sharding_would_shard_nothing_and_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"use lightning_modules.FSDP2Strategy"):
        sharding_of(WithStrategy(ModelParallelStrategy()))
    assert sharding_of(WithStrategy("auto")) is None


def test_a_folder_where_a_checkpoint_file_is_expected_is_explained() -> None:
    shown = explained(IsADirectoryError(21, "Is a directory", "runs/step=2.ckpt"))
    assert shown is not None
    assert "sharded_checkpoints=false" in str(shown)
    assert explained(IsADirectoryError(21, "Is a directory", "elsewhere")) is None
