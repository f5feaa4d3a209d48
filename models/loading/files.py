"""Paths as users type them (a folder, perhaps with ``~``, or a name on the hub), and the files there."""

from pathlib import Path

from safetensors import safe_open
from torch import Tensor
from transformers.utils.hub import cached_file, get_checkpoint_shard_files

from algorithms import ConfigError


def is_local(path: str) -> bool:
    """Return whether a path is meant as a folder: it is one, or it cannot be a hub name."""
    # A hub name is "owner/name", with one slash at most.
    return Path(path).expanduser().is_dir() or path.startswith((".", "/", "~", "runs/")) or path.count("/") > 1


def expanded(path: str) -> str:
    """Return a path as transformers reads it: the home folder in place of ``~``, a hub name unchanged."""
    return str(Path(path).expanduser()) if is_local(path) else path


def weight_files(key: str, path: str) -> list[str]:
    """Return the safetensors files of a folder or hub name.

    Args:
        key: setting that holds the path, for errors.
        path: the path as typed.

    Raises:
        ConfigError: where there are none.
    """
    # Large models come in several files, listed in an index.
    for name, is_index in (("model.safetensors.index.json", True), ("model.safetensors", False)):
        found = cached_file(expanded(path), name, _raise_exceptions_for_missing_entries=False)
        if found is not None:
            return list(get_checkpoint_shard_files(expanded(path), found)[0] or ()) if is_index else [str(found)]
    raise ConfigError(
        f"{key} is {path!r}, in which there is neither model.safetensors nor model.safetensors.index.json: weights are "
        "read from safetensors files. Load the model once and write it with save_pretrained."
    )


def read_tensor(key: str, path: str, name: str) -> Tensor:
    """Return one tensor of a folder or hub name; arguments as in ``weight_files``.

    Args:
        key: setting that holds the path, for errors.
        path: the path as typed.
        name: end of the tensor's name; classes of transformers put the names of modules before it.

    Raises:
        ConfigError: where there is no such tensor.
    """
    for file in weight_files(key, path):
        with safe_open(file, framework="pt") as tensors:
            for whole_name in tensors.keys():  # noqa: SIM118  (not a dictionary)
                if whole_name.endswith(name):
                    return tensors.get_tensor(whole_name)
    raise ConfigError(f"{key} is {path!r}, which lacks the tensor {name} that its config.json promises.")
