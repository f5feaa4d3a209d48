"""A language model without vision: all of it is one part."""

from torch import nn
from transformers import PreTrainedModel

from models.families.family import Family


class LanguageModelOnly(Family):
    """A causal language model; its prompts have no images."""

    def part_modules(self, model: PreTrainedModel) -> dict[str, list[nn.Module]]:
        """Return the whole model as ``language_model``."""
        # Including the head: it is often tied to the embeddings.
        return {"language_model": [model]}
