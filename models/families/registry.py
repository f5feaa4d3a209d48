"""The family of every known type of model. A new type that fits a family is one entry here.

``tests/models/families.py`` then needs a small random model of it, for the tests that all families must pass.
"""

from inspect import signature
from typing import Any

import transformers
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLProcessor,
    Qwen2VLProcessor,
    Qwen3VLProcessor,
)
from transformers.models.internvl.processing_internvl import InternVLProcessor

from algorithms import ConfigError
from models.families.family import Family
from models.families.internvl import InternVL
from models.families.language_model import LanguageModelOnly, check_language_model, untried_sentence
from models.families.llava import Llava
from models.families.qwen_vl import Qwen3VL, QwenVL

# By config.model_type of the whole model.
FAMILIES: dict[str, Family] = {
    "llava": Llava(),
    "internvl": InternVL(InternVLProcessor),
    "qwen2_vl": QwenVL(Qwen2VLProcessor),
    "qwen2_5_vl": QwenVL(Qwen2_5_VLProcessor),
    "qwen3_vl": Qwen3VL(Qwen3VLProcessor),
}


def family_of(model: PreTrainedModel) -> Family:
    """Return the family of a model; raises what ``family_of_config`` raises.

    Raises:
        ConfigError: also for transformers before 5.18: its models silently ignore image features that were computed
            beforehand, so a policy would train on text alone.
    """
    family = family_of_config(model.config)
    if model.config.model_type in FAMILIES and "mm_encoder_outputs" not in signature(type(model).forward).parameters:
        raise ConfigError(
            f"transformers {transformers.__version__} ignores images that are read once for several completions "
            f"({type(model).__name__}.forward has no mm_encoder_outputs): install transformers>=5.18."
        )
    return family


def family_of_config(config: PretrainedConfig, subject: str = "model.policy is") -> Family:
    """Return the family of a model with this config.

    Args:
        config: config of the whole model.
        subject: how the error's sentence begins: the key as typed, its value and a verb.

    Raises:
        ConfigError: for a vision-language model of a type that has no entry, and for a language model whose prompts
            cannot be shared; see ``check_language_model``.
    """
    if family := FAMILIES.get(config.model_type):
        if family.takes_any_language_model:
            check_language_model(config.get_text_config(), f"{subject} a {config.model_type} model with")
        return family
    # Most models are in this mapping of transformers. Models with code of their own are not, but they have this
    # setting.
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or getattr(config, "vision_config", None) is not None:
        raise ConfigError(
            f"{subject} a vision-language model of type {config.model_type!r}; the known types are "
            f"{', '.join(FAMILIES)}. Types differ in how they read images: take a model of a known type, or add an "
            "entry to FAMILIES in models/families/registry.py."
        )
    # All causal language models are read in the same way, so they need no entries.
    check_language_model(config, subject)
    return LanguageModelOnly()


def auto_class_of(config: PretrainedConfig, subject: str = "model.policy is") -> Any:
    """Return transformers' auto class that loads a policy; arguments and errors as ``family_of_config``."""
    is_text_only = isinstance(family_of_config(config, subject), LanguageModelOnly)
    return AutoModelForCausalLM if is_text_only else AutoModelForImageTextToText


def untried(config: PretrainedConfig) -> str | None:
    """Return a sentence for the log where the language model is of a type that no test tries; else None.

    Args:
        config: config of the whole model, whose family is known.
    """
    any_language_model = family_of_config(config).takes_any_language_model
    return untried_sentence(config.get_text_config()) if any_language_model else None
