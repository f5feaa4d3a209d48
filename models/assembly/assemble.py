"""Chooses how a tower and a language model are joined: into a model of the family that has this tower."""

import logging
from collections.abc import Callable
from typing import Any

from transformers import PreTrainedModel

from algorithms import ConfigError, HeadShape
from models.assembly.internvl import Tiling, assemble_internvl
from models.assembly.llava import assemble_llava
from models.families import FAMILIES, check_language_model
from models.reading.head import complete_head, has_head_bias
from models.reading.prompt_encoder import Processor, Tokenizer

logger = logging.getLogger(__name__)

Assembly = Callable[
    [PreTrainedModel, Any, PreTrainedModel, Tokenizer, Tiling | None], tuple[PreTrainedModel, Processor]
]
"""Takes a tower, its image processor, a language model, its tokenizer and a tiling; returns model and processor."""

# By the type of the joined model; the family of that type names its towers.
ASSEMBLIES: dict[str, Assembly] = {"internvl": assemble_internvl, "llava": assemble_llava}


def assemble(
    tower: PreTrainedModel,
    image_processor: Any,
    language_model: PreTrainedModel,
    tokenizer: Tokenizer,
    tiling: Tiling | None = None,
) -> tuple[PreTrainedModel, Processor]:
    """Return tower and language model joined by a randomly initialised adapter, and the processor.

    Args:
        tower: a vision model.
        image_processor: the tower's own.
        language_model: any causal language model.
        tokenizer: the language model's own; image tokens are added where it has none.
        tiling: into how many tiles InternVL's processor cuts an image; the processors of other classes do not cut
            images.

    Raises:
        ConfigError: for a tower that no class takes, a language model that cannot be read here, and a chat template
            that cannot place images.
    """
    check_language_model(language_model.config, "model.policy.language_model is")
    tower_type = tower.config.model_type
    for model_type, assembly in ASSEMBLIES.items():
        if tower_type in FAMILIES[model_type].towers:
            model, processor = assembly(tower, image_processor, language_model, tokenizer, tiling)
            _keep_ways_of_speaking(model, language_model, tokenizer)
            return model, processor
    # The error names the tower's type, because a tower's config.json has no other name.
    known = [f"{t.name} ({name})" for key in ASSEMBLIES for name, t in FAMILIES[key].towers.items()]
    raise ConfigError(
        f"model.policy.vision_tower is a {tower_type!r} model; towers that a stock class takes are {', '.join(known)}."
    )


def _keep_ways_of_speaking(model: PreTrainedModel, language_model: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Let the joined model end its turns and compute its logits as the language model does."""
    generation: Any = model.generation_config
    listed = getattr(language_model.generation_config, "eos_token_id", None)
    generation.eos_token_id = tokenizer.eos_token_id if listed is None else listed
    shape = complete_head(model)
    if shape != HeadShape() or has_head_bias(model.config):
        logger.warning(
            "The head of model.policy.language_model has a bias, scale or soft cap, which %s of transformers has not: "
            "this project and vLLM read an export as it was trained, transformers alone leaves them out.",
            type(model).__name__,
        )
