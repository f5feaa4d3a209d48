"""Weights from a folder or the hub, with errors of one sentence that name the key.

Only safetensors are read: other formats run code. Code beside the weights runs only with ``trust_remote_code``. A
checkpoint in which weights are missing is refused, where ``from_pretrained`` would draw them at random.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    PreTrainedModel,
)

from algorithms import ConfigError
from models.families import auto_class_of, family_of_config
from models.loading.files import expanded, is_local, read_tensor
from models.loading.hub import offline_where_silent
from models.loading.intern_vit import is_original_intern_vit, load_intern_vit
from models.loading.processors import load_processor, load_tokenizer
from models.loading.saveable import check_saveable
from models.reading.head import has_head_bias, set_head_bias
from models.reading.prompt_encoder import Processor, Tokenizer

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class LoadOptions:
    """How weights are read."""

    dtype: Dtype = "float32"
    attn_implementation: str | None = None  # transformers' choice
    trust_remote_code: bool = False


def check_model(key: str, path: str, options: LoadOptions) -> None:
    """Refuse a policy of an unknown family, or one that could not be exported, before its weights are read.

    Raises:
        ConfigError: for what ``check_family`` and ``check_saveable`` refuse.
    """
    check_family(key, path, options)
    check_saveable(key, path, trust_remote_code=options.trust_remote_code)


def check_family(key: str, path: str, options: LoadOptions) -> None:
    """Refuse a model of an unknown family, before its weights are read.

    Raises:
        ConfigError: for what ``models.families.family_of_config`` refuses, and when there is no config.
    """
    with as_config_error(key, path):
        config = AutoConfig.from_pretrained(expanded(path), trust_remote_code=options.trust_remote_code)
    family_of_config(config, f"{key} is {path!r},")


def load_policy_model(key: str, path: str, options: LoadOptions) -> PreTrainedModel:
    """Return the model of a policy, which reads images or text alone; errors as ``check_family`` and ``load_model``."""
    with as_config_error(key, path):
        config = AutoConfig.from_pretrained(expanded(path), trust_remote_code=options.trust_remote_code)
    return load_model(auto_class_of(config, f"{key} is {path!r},"), key, path, options)


def load_model(auto_class: Any, key: str, path: str, options: LoadOptions) -> PreTrainedModel:
    """Return a model whose weights all come from files; none is drawn at random.

    Args:
        auto_class: which of transformers' auto classes reads it.
        key: setting that holds the path, as a user types it.
        path: folder or hub name.
        options: how weights are read.

    Raises:
        ConfigError: when there is no such model, it is not of the auto class, or weights are missing.
    """
    with as_config_error(key, path):
        model, info = auto_class.from_pretrained(
            expanded(path),
            dtype=getattr(torch, options.dtype),
            attn_implementation=options.attn_implementation,
            trust_remote_code=options.trust_remote_code,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # so that the error below can name them
            output_loading_info=True,
        )
    # The second name of a tied weight does not count as missing.
    missing = sorted(info["missing_keys"])
    wrong_shape = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if missing or wrong_shape:
        raise ConfigError(
            f"{key} is {path!r}, which lacks weights that a {type(model).__name__} has: missing {missing[:3]}, "
            f"of another shape {wrong_shape[:3]} ({len(missing) + len(wrong_shape)} in all): they would be drawn."
        )
    if has_head_bias(model.config):
        # transformers' class has no bias here, so it left this tensor unread.
        set_head_bias(model, read_tensor(key, path, "lm_head.bias"))
    return model


def load_tower(key: str, path: str, options: LoadOptions) -> PreTrainedModel:
    """Return a vision tower, also out of a model that contains one.

    Raises:
        ConfigError: as ``load_model``, and for a model without a vision tower.
    """
    with as_config_error(key, path):
        # transformers has the class, but does not recognise the authors' config.
        if is_original_intern_vit(path):
            return load_intern_vit(
                key, path, dtype=getattr(torch, options.dtype), attn_implementation=options.attn_implementation
            )
    model = load_model(AutoModel, key, path, options)
    # LLaVA and InternVL use the first name, CLIP and SigLIP with their text models the second; other models are towers.
    tower = getattr(model, "vision_tower", getattr(model, "vision_model", model))
    if tower.main_input_name != "pixel_values":
        raise ConfigError(f"{key} is {path!r}, a {type(model).__name__}, which has no vision tower.")
    return tower


def read_processor(key: str, path: str, options: LoadOptions) -> Processor:
    """Return a model's processor; raises what ``load_model`` raises, and refuses a processor without chat template."""
    with as_config_error(key, path):
        processor = load_processor(expanded(path), trust_remote_code=options.trust_remote_code)
    if not getattr(processor, "chat_template", None):
        raise ConfigError(
            f"{key} is {path!r}, whose processor has no chat template, which prompts need: put the model's "
            "chat_template.jinja into that folder."
        )
    return processor


def read_image_processor(key: str, path: str) -> Any:
    """Return a tower's image processor; errors as ``load_model``."""
    with as_config_error(key, path):
        return AutoImageProcessor.from_pretrained(expanded(path))


def read_tokenizer(key: str, path: str) -> Tokenizer:
    """Return a language model's tokenizer; errors as ``load_model``."""
    with as_config_error(key, path):
        return load_tokenizer(expanded(path))


@contextmanager
def as_config_error(key: str, path: str) -> Iterator[None]:
    """Turn every error of reading from a path into one sentence.

    Raises:
        ConfigError: with the key and the path as typed, and what to do.
    """
    if Path(path).expanduser().is_file():
        raise ConfigError(f"{key} is {path!r}, which is a file: give the folder that holds config.json.")
    if is_local(path) and not (Path(path).expanduser() / "config.json").is_file():
        raise ConfigError(f"{key} is {path!r}, but there is no config.json in that folder: is the path right?")
    try:
        with nullcontext() if is_local(path) else offline_where_silent():
            yield
    except ConfigError:  # a ValueError too, and a sentence already
        raise
    except ImportError as error:
        raise ConfigError(
            f"{key} is {path!r}, which needs a package that is not installed: {_first_line(error)}"
        ) from error
    except SafetensorError as error:
        raise ConfigError(
            f"{key} is {path!r}, whose weights are cut off or no safetensors ({_first_line(error)}): copy them again."
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key} is {path!r}, {_reason(str(error), is_folder=is_local(path))}") from error


def _reason(message: str, *, is_folder: bool) -> str:
    """Return the end of the sentence; transformers' messages are recognised by words in them, as it has no classes."""
    if "trust_remote_code" in message:
        return (
            "which transformers reads only with code that lies beside the weights; set trust_remote_code to true if "
            "you have read that code and trust it."
        )
    if "safetensors" in message:
        return "which holds no weights as .safetensors; other formats can run code and are not read."
    if "Unrecognized configuration class" in message:
        return "a model of another kind than is needed here: " + message.splitlines()[0][:160]
    # For these two cases transformers' message is a page about the hub.
    if "backend tokenizer" in message:
        return (
            "which has no tokenizer that can be read: tokenizer.json and tokenizer_config.json belong into that folder."
        )
    if "image processor" in message:
        return (
            "which has no image processor: processor_config.json or preprocessor_config.json belongs into that folder."
        )
    if is_folder:
        return "which cannot be read: " + message.splitlines()[0][:240]
    return (
        "which is neither a folder here nor a hub name that can be reached from here: fetch it with 'hf download' "
        "where there is a network, and give the folder."
    )


def _first_line(error: Exception) -> str:
    # Import errors of transformers begin with an empty line.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
