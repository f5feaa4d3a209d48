"""Language models: a model without vision is one part; joined with a vision tower, it is one of three parts."""

from collections.abc import Mapping

from torch import nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PretrainedConfig, PreTrainedModel

from algorithms import ConfigError
from models.families.family import Family

# By config.model_type, with the name in the documentation. tests/models/test_language_models.py holds small random
# models of these types to the contract of a policy, alone and joined with a tower.
TRIED_LANGUAGE_MODELS: Mapping[str, str] = {
    "cohere": "Cohere",
    "gemma2": "Gemma 2",
    "granite": "Granite",
    "llama": "Llama",
    "phi": "Phi",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
}
_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


class LanguageModelOnly(Family):
    """A causal language model; its prompts have no images."""

    takes_any_language_model = True

    def part_modules(self, model: PreTrainedModel) -> dict[str, list[nn.Module]]:
        """Return the whole model as ``language_model``."""
        # The head belongs to the part too: it is often tied to the embeddings.
        return {"language_model": [model]}


def check_language_model(config: PretrainedConfig, subject: str) -> None:
    """Refuse a language model whose prompt cannot be read once for a group of completions.

    Args:
        config: config of the language model.
        subject: how the error's sentence begins: the key as typed, its value and a verb.

    Raises:
        ConfigError: for an encoder with a decoder, and for layers that keep a state in place of keys and values.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise ConfigError(
            f"{subject} a model of type {config.model_type!r}, an encoder with a decoder: a policy reads prompt and "
            "completion with one causal language model."
        )
    # transformers marks such classes, and newer configs list the kind of every layer.
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    other = set(getattr(config, "layer_types", None) or ()) - _ATTENTION
    if other or getattr(model_class, "_is_stateful", False):
        kinds = f" ({', '.join(sorted(other))})" if other else ""
        raise ConfigError(
            f"{subject} a language model of type {config.model_type!r}, some layers of which keep a state in place of "
            f"keys and values{kinds}: the completions of a prompt share its keys and values here. Tried are "
            f"{', '.join(TRIED_LANGUAGE_MODELS)}."
        )


def untried_sentence(config: PretrainedConfig) -> str | None:
    """Return a sentence for the log about a language model that no test tries; None for one that is tried."""
    if config.model_type in TRIED_LANGUAGE_MODELS:
        return None
    return (
        f"Language models of type {config.model_type!r} are untried here; tried are "
        f"{', '.join(TRIED_LANGUAGE_MODELS)}. Before a long run see that train/log_ratio_fresh, "
        "which compares learner and engine, is 0."
    )
