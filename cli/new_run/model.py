"""The facts about a model that a config needs: family, vocabulary and context. No weights are loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from algorithms.records import Prompt
from models.families import auto_class_of, family_of_config, untried
from models.loading.checkpoint import LoadOptions, as_config_error, read_processor
from models.loading.files import expanded, is_local, weight_files
from models.reading.prompt_encoder import PromptEncoder

_KEY = "--model"
# Larger models get LoRA and 16 bits for frozen weights: with Adam's moments each learning weight takes 16 bytes.
_LARGE_BYTES = 2**30


@dataclass(frozen=True)
class ModelLook:
    """Facts about a model, without its weights."""

    path: str
    model_type: str
    reads_images: bool
    context: int | None
    """Most tokens that the model was made for."""

    is_large: bool
    """Whether the weights take more than 1 GiB on disk, or lie on the hub."""

    encoder: PromptEncoder
    untried: str | None
    """A sentence when no test covers models of this type; else None."""

    @property
    def opens_reasoning(self) -> bool:
        """Whether the chat template itself writes ``<think>`` before a completion."""
        return self.encoder.chat_text(Prompt(uid=0, key="0", question="?")).rstrip().endswith("<think>")

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of the tokens of these texts that the tokenizer does not know."""
        tokenizer: Any = self.encoder.tokenizer
        unknown = tokenizer.unk_token_id
        ids = [token for text in texts for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
        # GPT-2 has one id for start, end and unknown; this id does not mean an unknown word.
        if unknown is None or unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id) or not ids:
            return 0.0
        return sum(token == unknown for token in ids) / len(ids)


def look_at_model(path: str) -> ModelLook:
    """Read config, tokenizer and image processor of a model.

    Args:
        path: a folder, or a name on the hub.

    Raises:
        ConfigError: there is no such model, its family is unknown, or it lacks weights, a tokenizer or a chat template.
    """
    with as_config_error(_KEY, path):
        config = AutoConfig.from_pretrained(expanded(path))
    family = family_of_config(config, f"{_KEY} is {path!r},")
    size = _LARGE_BYTES + 1
    if is_local(path):
        # Checks that weights exist, and their size: otherwise only the run would notice that they are missing.
        size = sum(Path(file).stat().st_size for file in weight_files(_KEY, path))
    return ModelLook(
        path=path,
        model_type=config.model_type,
        reads_images=auto_class_of(config).__name__ != "AutoModelForCausalLM" and bool(family),
        context=getattr(config.get_text_config(), "max_position_embeddings", None),
        is_large=size > _LARGE_BYTES,
        encoder=PromptEncoder(read_processor(_KEY, path, LoadOptions())),
        untried=untried(config),
    )
