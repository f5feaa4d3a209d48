"""Image tokens in a language model's vocabulary, and image marks in its chat template.

A language model trained on text alone may have neither. Image tokens that its tokenizer has are used (Qwen's text
models have those of Qwen-VL). Missing image tokens are added. They take rows of the embedding that no token uses, where
there are such rows.
"""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from algorithms import ConfigError
from models.reading.prompt_encoder import Tokenizer

# Start, one per image feature, end: InternVL's names, then Qwen-VL's.
_FRAMED = (("<img>", "</img>", "<IMG_CONTEXT>"), ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>"))
_BARE = ("<image>", "<|image_pad|>")
_VIDEO = ("<video>", "<|video_pad|>")

# Put in front of a template that takes text only, this turns a message of several parts into one text.
_FLATTEN = (
    "{%- set flat = namespace(messages=[]) -%}"
    "{%- for message in messages -%}"
    "{%- if message['content'] is string or message['content'] is none -%}"
    "{%- set flat.messages = flat.messages + [message] -%}"
    "{%- else -%}"
    "{%- set text = namespace(value='') -%}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{%- set text.value = text.value + 'IMAGE_TOKEN\n' -%}"
    "{%- else -%}{%- set text.value = text.value + part['text'] -%}{%- endif -%}"
    "{%- endfor -%}"
    "{%- set flat.messages = flat.messages + [dict(message, content=text.value)] -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- set messages = flat.messages %}"
)


def image_token(tokenizer: Tokenizer) -> str:
    """Return the token that stands for one image feature; add it to a tokenizer that has none."""
    # A tokenizer may name its image token: in its settings when it was loaded, as an attribute when it was just made.
    named = tokenizer.init_kwargs.get("image_token") or getattr(tokenizer, "image_token", None)
    known = [token for token in _BARE if token in tokenizer.get_vocab()]
    token = named or (known[0] if known else _BARE[0])
    tokenizer.add_tokens([token], special_tokens=True)
    return token


def name_framed_tokens(tokenizer: Tokenizer) -> None:
    """Give the tokenizer InternVL's image tokens, under the names by which InternVL's processor finds them."""
    vocabulary = tokenizer.get_vocab()
    start, end, context = next((names for names in _FRAMED if all(n in vocabulary for n in names)), _FRAMED[0])
    video = next((token for token in _VIDEO if token in vocabulary), _VIDEO[0])
    tokenizer.add_tokens([start, end, context, video], special_tokens=True)
    # AutoTokenizer.from_pretrained(..., extra_special_tokens={...}) does the same, but no public method does it later.
    tokenizer._set_model_specific_special_tokens(
        {"start_image_token": start, "end_image_token": end, "context_image_token": context, "video_token": video}
    )


def add_embeddings(language_model: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Give every token a row in the embeddings; rows are added only when there are too few spare ones."""
    embeddings: Any = language_model.get_input_embeddings()
    # Never fewer rows than before: published vocabularies are padded for speed.
    if len(tokenizer) > embeddings.weight.shape[0]:
        language_model.resize_token_embeddings(len(tokenizer))


def chat_template_with_images(tokenizer: Tokenizer, token: str) -> str:
    """Return the language model's own chat template, its ``<think>`` included, in a form that places images.

    Raises:
        ConfigError: without a template, or when no form of it writes image tokens.
    """
    template = tokenizer.chat_template
    if template is None:
        raise ConfigError(
            "model.policy.language_model: its tokenizer has no chat template, which prompts need. "
            "Give a chat model, or set tokenizer.chat_template and save it."
        )
    # The model's own template is preferred; it fails when it expects text where a message has several parts.
    for candidate in (template, _FLATTEN.replace("IMAGE_TOKEN", token) + template):
        if _places_images(tokenizer, candidate, token):
            return candidate
    raise ConfigError(
        f"model.policy.language_model: its chat template does not write {token!r} where a message has an image, not "
        "even when the message is handed over as plain text. Put one into the tokenizer that does."
    )


def _places_images(tokenizer: Tokenizer, template: str, token: str) -> bool:
    """Return whether the template writes two images and a question as two image tokens and that question, in order."""
    content: Sequence[dict[str, str]] = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "QUESTION"}]
    try:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], chat_template=template, tokenize=False, add_generation_prompt=True
        )
    except Exception:  # templates raise errors of any class for a list where they expect text
        return False
    # All image tokens before the question, and none behind it.
    before, _, _ = text.partition("QUESTION")
    return "QUESTION" in text and before.count(token) == text.count(token) == 2
