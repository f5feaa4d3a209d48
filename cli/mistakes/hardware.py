"""Refuses accelerators and devices that this machine does not have, before Lightning starts processes."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.strategies import StrategyRegistry

from algorithms import ConfigError
from cli.keys.nearest import did_you_mean, nearest

_GPUS = ("gpu", "cuda")
# A larger number of processes per core is surely a typing error.
_PROCESSES_PER_CORE = 4


def check_hardware(trainer: Mapping[str, Any]) -> None:
    """Refuse a missing accelerator, more devices than the machine has, and unknown names of strategies.

    Args:
        trainer: the config's section ``trainer``.

    Raises:
        ConfigError: names the devices of this machine.
    """
    accelerator = trainer.get("accelerator", "auto")
    if isinstance(accelerator, str):
        _check_accelerator(accelerator)
        _check_devices(accelerator, trainer.get("devices", "auto"))
        _check_precision(accelerator, str(trainer.get("precision")))
    _check_strategy_name(trainer.get("strategy", "auto"))


def _check_accelerator(accelerator: str) -> None:
    known = ["auto", "gpu", *AcceleratorRegistry.available_accelerators()]
    if accelerator not in known:
        raise ConfigError(f"trainer.accelerator is {accelerator}, which is none: {did_you_mean(accelerator, known)}")
    if accelerator in _GPUS and torch.cuda.is_available():
        return
    if accelerator == "gpu" and torch.backends.mps.is_available():
        return
    # Lightning's own check of other accelerators imports packages that may be missing.
    is_there = {"auto": True, "cpu": True, "mps": torch.backends.mps.is_available()}.get(accelerator, False)
    if accelerator == "tpu":
        try:
            is_there = AcceleratorRegistry.get("tpu").is_available()
        except ImportError:
            is_there = False
    if not is_there:
        raise ConfigError(
            f"trainer.accelerator is {accelerator}, and this machine has none that torch can use: "
            "--trainer.accelerator=cpu, or --config configs/hardware/cpu.yaml as the last config."
        )


def _check_devices(accelerator: str, devices: Any) -> None:
    if devices in ("auto", -1, "-1"):
        if devices != "auto" and accelerator == "cpu":
            raise ConfigError("trainer.devices is -1, all devices, and a CPU has no number of them: give one above 0.")
        return
    text = str(devices)
    if not isinstance(devices, list) and "," not in text:
        if not text.lstrip("-").isdigit() or int(text) < 1:
            raise ConfigError(f"trainer.devices must be a whole number above 0, or auto, got {devices}.")
        _check_number(accelerator, int(text))


def _check_number(accelerator: str, devices: int) -> None:
    is_gpu = accelerator in _GPUS or (accelerator == "auto" and torch.cuda.is_available())
    if is_gpu:
        there = torch.cuda.device_count()
        if devices > there > 0:
            raise ConfigError(
                f"trainer.devices is {devices}, and this machine has {there} GPU{'s' if there > 1 else ''}: give at "
                f"most {there}; trainer.num_nodes adds machines."
            )
    elif accelerator in ("cpu", "auto"):
        cores = os.cpu_count() or 1
        if devices > cores * _PROCESSES_PER_CORE:
            raise ConfigError(
                f"trainer.devices is {devices}, and on a CPU each is a process: this machine has {cores} cores, so "
                f"give at most {cores * _PROCESSES_PER_CORE}, best {cores} or fewer."
            )


def _check_precision(accelerator: str, precision: str) -> None:
    is_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    if is_cpu and precision in ("16", "16-mixed", "16-true"):
        raise ConfigError(
            f"trainer.precision is {precision}, which CPUs do not compute in: 32-true, or bf16-mixed for a trial of a "
            "GPU's recipe."
        )


def _check_strategy_name(strategy: Any) -> None:
    known = ["auto", *StrategyRegistry.available_strategies()]
    if isinstance(strategy, str) and strategy not in known:
        # FSDP2 has no name in Lightning, only a class.
        ours = "configs/hardware/fsdp2.yaml (--config)" if strategy.lower().startswith("fsdp") else None
        found = nearest(strategy, known)
        hint = f"did you mean {ours or found}?" if ours or found else "configs/hardware/ has one file for each way."
        raise ConfigError(f"trainer.strategy is {strategy}, which is none: {hint}")
