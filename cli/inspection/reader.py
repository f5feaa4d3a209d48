"""Shows a prompt as the policy reads it: template, tokens, images. Needs the policy's processor, no weights."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from algorithms.errors import ConfigError
from algorithms.records import Prompt
from lightning_modules.policy_module import PolicyModule
from models import PolicySource, PretrainedPolicy
from models.loading.checkpoint import read_processor
from models.reading.prompt_encoder import PromptEncoder

# Longest side of a picture on the page.
_PIXELS = 256
# Longest run of one token that is printed in full; a longer run is printed as a count.
_LONGEST_RUN = 3


@dataclass(frozen=True)
class PromptReading:
    """A prompt and how the policy reads it."""

    prompt: Prompt
    chat_text: str = ""
    """The prompt in the chat template."""

    tokens: str = ""
    """The prompt's tokens as text; a long run of one token is shortened: ``<image> x 81``."""

    num_tokens: int | None = None
    problem: str = ""
    """Why the policy cannot read the prompt; empty when it can."""

    def pictures(self) -> list[tuple[str, str]]:
        """Return each image as a small picture in a data URL, with its original size in words."""
        return [_picture(image) for image in self.prompt.images]


def reader_of(module: Any) -> tuple[Callable[[Prompt], PromptReading], str]:
    """Return a function that reads a prompt, and why it shows prompts as text only (empty if it reads them fully)."""
    try:
        encoder = _encoder(module.policy_source if isinstance(module, PolicyModule) else None)
    # Building a tokenizer or a skeleton runs code of other libraries, which may raise errors of any class.
    except Exception as error:
        return PromptReading, f"{type(error).__name__}: {error}"
    return lambda prompt: _reading(encoder, prompt), ""


def _encoder(source: Any) -> PromptEncoder:
    if isinstance(source, PretrainedPolicy):
        return PromptEncoder(read_processor("model.policy.path", source.path, source.options))
    if not isinstance(source, PolicySource):
        raise ConfigError("the module has no policy that reads prompts.")
    return source.skeleton().encoder


def _reading(encoder: PromptEncoder, prompt: Prompt) -> PromptReading:
    try:
        ids = encoder.encode(prompt).token_ids.tolist()
        return PromptReading(prompt, encoder.chat_text(prompt), _shortened(encoder, ids), len(ids))
    # Templates and processors raise errors of any class; the page shows the row.
    except Exception as error:
        return PromptReading(prompt, problem=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _shortened(encoder: PromptEncoder, ids: list[int]) -> str:
    """Return tokens as text; a long run of one token becomes a count."""
    pieces: list[str] = []
    between: list[int] = []
    for token, run in groupby(ids):
        number = len(list(run))
        if number <= _LONGEST_RUN:
            between += [token] * number
            continue
        # Decoded together, because spaces depend on neighbouring tokens.
        pieces += [encoder.tokenizer.decode(between), f" {encoder.tokenizer.decode([token])} x {number} "]
        between = []
    return "".join([*pieces, encoder.tokenizer.decode(between)])


def _picture(reference: Any) -> tuple[str, str]:
    image = reference.load()
    words = f"{image.width} x {image.height}"
    image.thumbnail((_PIXELS, _PIXELS))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}", words
