"""A Hugging Face folder read into shards: each rank reads its slice of every tensor, and no rank the whole model.

    config.json -> skeleton without memory -> sharded -> slices read from safetensors, named by transformers' own rules

Names in files differ from names of modules in ``transformers``, and some models fuse or split tensors. The functions
that translate them are those of ``from_pretrained``. They are no public interface: they are the same in transformers
5.16.1 and 5.19.0, and a test compares the result with that of ``from_pretrained``.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, GenerationConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import convert_and_load_state_dict_in_model
from transformers.modeling_utils import LoadStateDictConfig

from algorithms import ConfigError
from models.families import auto_class_of
from models.loading.files import expanded, weight_files
from models.lora import lora_apart
from models.reading.head import has_head_bias, set_head_bias


def skeleton(path: str, *, attn_implementation: str | None = None) -> PreTrainedModel:
    """Return the model of a folder (or hub name) on the meta device: shapes and settings, no weights."""
    config = AutoConfig.from_pretrained(expanded(path))
    with torch.device("meta"):
        model: Any = auto_class_of(config).from_config(
            config, dtype=torch.float32, attn_implementation=attn_implementation
        )
    if has_head_bias(config):
        set_head_bias(model)
    # ``from_config`` does not read this file, as ``from_pretrained`` does.
    if (Path(path).expanduser() / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(expanded(path))
    return model.eval()


def read_into_shards(model: PreTrainedModel, path: str, device: torch.device) -> None:
    """Fill a skeleton, sharded or not, with a folder's weights; every rank reads its own slices.

    Args:
        model: from ``skeleton``; may have LoRA layers, which keep their values.
        path: the folder or hub name.
        device: where the slices go.

    Raises:
        ConfigError: when the files lack weights of the model.
    """
    # Files hold the names of the model without LoRA layers.
    with lora_apart(model), ExitStack() as opened:
        # transformers annotates less than it passes on itself.
        names: Any = get_model_conversion_mapping(model)
        settings = LoadStateDictConfig(device_map={"": device}, dtype=torch.float32, weight_mapping=names)
        slices: dict[str, Any] = {}
        for file in weight_files("model.policy.path", path):
            tensors = opened.enter_context(safe_open(file, framework="pt"))
            slices |= {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118  (no mapping)
        report, _ = convert_and_load_state_dict_in_model(model, slices, settings)
        # No file holds non-persistent buffers, such as the frequencies of rotary positions; this call computes them.
        report = model._finalize_model_loading(model, settings, report)
    if missing := sorted(report.missing_keys) + sorted(str(key) for key, *_ in report.mismatched_keys):
        raise ConfigError(
            f"model.policy.path is {path!r}, whose weights lack {len(missing)} tensors of {type(model).__name__} or "
            f"have them in another shape, such as {missing[0]}."
        )


def on_meta(module: nn.Module) -> bool:
    """Return whether a module has parameters without memory, to be read from files."""
    return any(parameter.is_meta for parameter in module.parameters())
