"""InternViT as its authors publish it, read into transformers' own class instead of the code that lies beside it.

    OpenGVLab/InternViT-6B-448px-V2_5: config.json with model_type "intern_vit_6b", and safetensors

Names and the split of the joined query-key-value matrix follow ``transformers``' conversion script
(models/internvl/convert_internvl_weights_to_hf.py). Neither has a norm behind the last layer.
"""

import re
from collections.abc import Iterator
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import InternVLVisionConfig, InternVLVisionModel, PretrainedConfig

from algorithms import ConfigError
from models.loading.files import expanded, weight_files

# The authors' smaller towers have the name of the largest one too.
_MODEL_TYPE = "intern_vit_6b"
# Settings with the same name in transformers; then those with another name: authors' name -> transformers' name.
_SAME = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "norm_type",
    "layer_norm_eps", "image_size", "patch_size", "num_channels", "attention_dropout",
)  # fmt: skip
_RENAMED = {"qk_normalization": "use_qk_norm", "qkv_bias": "attention_bias", "dropout": "hidden_dropout_prob"}
# Patterns in the names of tensors; applied one after another.
_NAMES = {
    r"^embeddings\.class_embedding$": "embeddings.cls_token",
    r"^embeddings\.position_embedding$": "embeddings.position_embeddings",
    r"^embeddings\.patch_embedding\.": "embeddings.patch_embeddings.projection.",
    r"^encoder\.layers\.": "encoder.layer.",
    r"\.attn\.proj\.": ".attention.projection_layer.",
    r"\.attn\.": ".attention.",
    r"\.ls(\d)$": r".lambda_\1",
    r"\.norm1\.": ".layernorm_before.",
    r"\.norm2\.": ".layernorm_after.",
}


def is_original_intern_vit(path: str) -> bool:
    """Return whether a folder or hub name is in the authors' layout."""
    return PretrainedConfig.get_config_dict(expanded(path))[0].get("model_type") == _MODEL_TYPE


def load_intern_vit(key: str, path: str, *, dtype: torch.dtype, attn_implementation: str | None) -> InternVLVisionModel:
    """Return the tower.

    Args:
        key: setting that holds the path, for errors.
        path: folder or hub name in the authors' layout.
        dtype: dtype of the weights.
        attn_implementation: as in ``from_pretrained``.

    Raises:
        ConfigError: when weights are missing or left over, or not in safetensors files.
    """
    config = convert_config(PretrainedConfig.get_config_dict(expanded(path))[0])
    config._attn_implementation = attn_implementation
    # The tower starts on the meta device, without memory; the tensors from the files become its weights.
    with torch.device("meta"):
        tower = InternVLVisionModel(config)
    tensors = {
        new: converted.to(dtype)
        for old, tensor in _tensors(key, path)
        for new, converted in convert(old, tensor, config.hidden_size)
    }
    found = tower.load_state_dict(tensors, strict=False, assign=True)
    if found.missing_keys or found.unexpected_keys:
        raise ConfigError(
            f"{key} is {path!r}, whose weights do not fit its config.json: missing {found.missing_keys[:3]}, "
            f"left over {found.unexpected_keys[:3]}."
        )
    return tower.eval()


def convert_config(settings: dict[str, Any]) -> InternVLVisionConfig:
    """Return the authors' settings as transformers' own, without those for training alone (drop path)."""
    make_config: Any = InternVLVisionConfig
    same = {name: settings[name] for name in _SAME if name in settings}
    return make_config(**same, **{new: settings[old] for old, new in _RENAMED.items() if old in settings})


def convert(name: str, tensor: Tensor, hidden_size: int) -> Iterator[tuple[str, Tensor]]:
    """Yield a tensor under its new name; a joined tensor is split into query, key and value."""
    # The names of a tower within a whole InternVL begin with this.
    name = name.removeprefix("vision_model.")
    for old, new in _NAMES.items():
        name = re.sub(old, new, name)
    if ".qkv." not in name:
        yield name, tensor
        return
    for letter, third in zip("qkv", tensor.split(hidden_size), strict=True):  # (3 * hidden, ...) -> (hidden, ...)
        # A copy: views of one tensor share its memory, which safetensors does not write.
        yield name.replace(".qkv.", f".{letter}_proj."), third.clone()


def _tensors(key: str, path: str) -> Iterator[tuple[str, Tensor]]:
    for file in weight_files(key, path):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (not a dictionary)
                yield name, tensors.get_tensor(name)
