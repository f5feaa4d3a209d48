"""LoRA updates that vLLM applies beside its weights: which updates it can apply, and the files that it reads."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from algorithms import ConfigError

# vLLM reserves room for one of these ranks, see its ``MaxLoRARanks``.
_ROOMS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
_SERVED_PART = "language_model"
_MATRICES = (".lora_A.weight", ".lora_B.weight")
# Prefix of tensor names in peft's files.
_PREFIX = "base_model.model."


def check_served(ranks: Mapping[str, int]) -> None:
    """Refuse LoRA updates that vLLM could not apply beside its weights.

    Args:
        ranks: largest rank of the updates in each part that has any.

    Raises:
        ConfigError: names the key to change.
    """
    merged = "or set model.engine.settings.lora=merged."
    if not ranks:
        raise ConfigError(
            "model.engine.settings.lora=adapter is for a policy with LoRA, and this one has none: set "
            f"model.learning.lora, {merged}"
        )
    # vLLM applies adapters to the language model only.
    if others := sorted(set(ranks) - {_SERVED_PART}):
        raise ConfigError(
            f"model.learning.lora.parts must be [{_SERVED_PART}] with model.engine.settings.lora=adapter, got "
            f"{sorted(ranks)}: vLLM would leave out the updates of {' and '.join(others)} without a word. Change "
            f"the parts, {merged}"
        )
    if ranks[_SERVED_PART] > _ROOMS[-1]:
        raise ConfigError(
            f"model.learning.lora.rank must be at most {_ROOMS[-1]} with model.engine.settings.lora=adapter, got "
            f"{ranks[_SERVED_PART]}: vLLM has no room for more. Lower it, {merged}"
        )


def room_for(rank: int) -> int:
    """Return vLLM's smallest ``max_lora_rank`` that is at least this rank."""
    return next(room for room in _ROOMS if room >= rank)


def set_aside(weights: Iterator[tuple[str, Tensor]], updates: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Pass named tensors on, but put the matrices of LoRA updates into ``updates``."""
    for name, tensor in weights:
        if name.endswith(_MATRICES):
            updates[name] = tensor
        else:
            yield name, tensor


def write_adapter(folder: Path, updates: Mapping[str, Tensor]) -> None:
    """Write LoRA updates as a peft adapter, which vLLM reads.

    Args:
        folder: an empty folder.
        updates: both matrices of each layer, scale included.
    """
    tensors = {_PREFIX + name: tensor.contiguous().cpu() for name, tensor in updates.items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    rank = max(tensor.shape[0] for name, tensor in updates.items() if name.endswith(_MATRICES[0]))
    layers = sorted(name.removesuffix(_MATRICES[0]) for name in updates if name.endswith(_MATRICES[0]))
    # alpha / r is 1 here, because the matrices already contain the scale.
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": layers}
    (folder / "adapter_config.json").write_text(json.dumps(config))
