"""Weights from a folder or the hub, with errors of one sentence that name the key.

Only safetensors are read: other formats run code. Nothing beside the weights is run unless asked for. A checkpoint in
which weights are missing is refused, where ``from_pretrained`` would draw them at random.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoImageProcessor, AutoModel

from algorithms import ConfigError
from models.loading.intern_vit import is_original_intern_vit, load_intern_vit
from models.loading.processors import load_processor

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class LoadOptions:
    """How weights are read."""

    dtype: Dtype = "float32"
    attn_implementation: str | None = None
    trust_remote_code: bool = False


def load_model(auto_class: Any, key: str, path: str, options: LoadOptions) -> Any:
    """Return a model, whole.

    Args:
        auto_class: which of transformers' auto classes reads it.
        key: under which key the path was given.
        path: folder or hub name.
        options: how weights are read.

    Raises:
        ConfigError: when there is no such model, it is of another kind, or weights are missing.
    """
    with explained(key, path):
        model, info = auto_class.from_pretrained(
            str(Path(path).expanduser()) if _is_local(path) else path,
            dtype=getattr(torch, options.dtype),
            attn_implementation=options.attn_implementation,
            trust_remote_code=options.trust_remote_code,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # so that the error below can name them
            output_loading_info=True,
        )
    missing = sorted(info["missing_keys"])
    wrong_shape = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if missing or wrong_shape:
        raise ConfigError(
            f"{key} is {path!r}, which lacks weights that a {type(model).__name__} has: missing {missing[:3]}, "
            f"of another shape {wrong_shape[:3]} ({len(missing) + len(wrong_shape)} in all): they would be drawn."
        )
    return model


def load_tower(key: str, path: str, options: LoadOptions) -> Any:
    """Return a vision tower, also out of a model that contains one.

    Raises:
        ConfigError: as ``load_model``, and for a model without a vision tower.
    """
    with explained(key, path):
        is_original = is_original_intern_vit(str(Path(path).expanduser()) if _is_local(path) else path)
        if is_original:
            return load_intern_vit(
                key, path, dtype=getattr(torch, options.dtype), attn_implementation=options.attn_implementation
            )
    model = load_model(AutoModel, key, path, options)
    tower = getattr(model, "vision_tower", getattr(model, "vision_model", model))
    if tower.main_input_name != "pixel_values":
        raise ConfigError(f"{key} is {path!r}, a {type(model).__name__}, which has no vision tower.")
    return tower


def read_processor(key: str, path: str, options: LoadOptions) -> Any:
    """Return a model's processor; errors as ``load_model``."""
    with explained(key, path):
        return load_processor(path, trust_remote_code=options.trust_remote_code)


def read_image_processor(key: str, path: str) -> Any:
    """Return a tower's image processor; errors as ``load_model``."""
    with explained(key, path):
        return AutoImageProcessor.from_pretrained(path)


@contextmanager
def explained(key: str, path: str) -> Iterator[None]:
    """Turn what goes wrong while reading from a path into one sentence.

    Raises:
        ConfigError: with the key and the path as typed, and what to do.
    """
    if _is_local(path) and not (Path(path).expanduser() / "config.json").is_file():
        raise ConfigError(f"{key} is {path!r}, but there is no config.json in that folder: is the path right?")
    try:
        yield
    except ConfigError:
        raise
    except ImportError as error:
        raise ConfigError(f"{key} is {path!r}, which needs a package that is not installed: {_first(error)}") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key} is {path!r}, {_reason(str(error), is_local=_is_local(path))}") from error


def _reason(message: str, *, is_local: bool) -> str:
    if "trust_remote_code" in message:
        return (
            "which transformers reads only with code that lies beside the weights; set trust_remote_code to true if "
            "you have read that code and trust it."
        )
    if "safetensors" in message:
        return "which holds no weights as .safetensors; other formats can run code and are not read."
    if "Unrecognized configuration class" in message:
        return "a model of another kind than is needed here: " + message.splitlines()[0][:160]
    if is_local:
        return "which cannot be read: " + message.splitlines()[0][:240]
    return (
        "which is neither a folder here nor a hub name that can be reached from here: fetch it with 'hf download' "
        "where there is a network, and give the folder."
    )


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _is_local(path: str) -> bool:
    """Return whether a path is meant as a folder: it is one, or it cannot be a hub name."""
    return Path(path).expanduser().is_dir() or path.startswith((".", "/", "~", "runs/")) or path.count("/") > 1
