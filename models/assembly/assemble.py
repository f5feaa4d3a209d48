"""The choice of an assembly: a tower and a language model are joined into a model of a family that has this tower."""

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedModel

from algorithms import ConfigError
from models.assembly.internvl import Tiling, assemble_internvl
from models.assembly.llava import assemble_llava
from models.families import FAMILIES
from models.reading.prompt_encoder import Processor, Tokenizer

Assembly = Callable[
    [PreTrainedModel, Any, PreTrainedModel, Tokenizer, Tiling | None], tuple[PreTrainedModel, Processor]
]
"""Takes a tower, its image processor, a language model, its tokenizer and a tiling; returns model and processor."""

# By the type of the joined model. Its family names the towers.
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
        tiling: into how many tiles InternVL's processor cuts an image; no other class cuts any.

    Raises:
        ConfigError: for a tower that no class takes, and for a chat template that cannot place images.
    """
    tower_type = tower.config.model_type
    for model_type, assembly in ASSEMBLIES.items():
        if tower_type in FAMILIES[model_type].towers:
            return assembly(tower, image_processor, language_model, tokenizer, tiling)
    # With its type: a tower's config.json has no other name for it.
    known = [f"{t.name} ({name})" for key in ASSEMBLIES for name, t in FAMILIES[key].towers.items()]
    raise ConfigError(
        f"model.policy.vision_tower is a {tower_type!r} model; towers that a stock class takes are {', '.join(known)}."
    )
