"""Image tokens in a language model's vocabulary, and image marks in its chat template.

A language model that never saw an image may have neither. Tokens that its tokenizer knows are used (Qwen's text models
carry those of Qwen-VL); missing ones are added, into rows of the embedding that no token uses where there are any.
"""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from algorithms import ConfigError

# Start, one per image feature, end: InternVL's names, then Qwen-VL's.
_FRAMED = (("<img>", "</img>", "<IMG_CONTEXT>"), ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>"))
_BARE = ("<image>", "<|image_pad|>")
_VIDEO = ("<video>", "<|video_pad|>")

# Turns a message of several parts into one text, for templates that know nothing else.
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


def image_token(tokenizer: Any) -> str:
    """Return the token that stands for one image feature, known to the tokenizer by now."""
    named = tokenizer.init_kwargs.get("image_token") or getattr(tokenizer, "image_token", None)
    known = [token for token in _BARE if token in tokenizer.get_vocab()]
    token = named or (known[0] if known else _BARE[0])
    tokenizer.add_tokens([token], special_tokens=True)
    return token


def name_framed_tokens(tokenizer: Any) -> None:
    """Have the tokenizer know InternVL's image tokens under the names that its processor asks for."""
    vocabulary = tokenizer.get_vocab()
    start, end, context = next((names for names in _FRAMED if all(n in vocabulary for n in names)), _FRAMED[0])
    video = next((token for token in _VIDEO if token in vocabulary), _VIDEO[0])
    tokenizer.add_tokens([start, end, context, video], special_tokens=True)
    # What AutoTokenizer.from_pretrained(..., extra_special_tokens={...}) does; no public name does it afterwards.
    tokenizer._set_model_specific_special_tokens(
        {"start_image_token": start, "end_image_token": end, "context_image_token": context, "video_token": video}
    )


def make_room(language_model: PreTrainedModel, tokenizer: Any) -> None:
    """Give every token a row in the embeddings; rows are added only when the spare ones do not suffice."""
    embeddings: Any = language_model.get_input_embeddings()
    if len(tokenizer) > embeddings.weight.shape[0]:
        language_model.resize_token_embeddings(len(tokenizer))


def chat_template_with_images(tokenizer: Any, token: str) -> str:
    """Return the language model's own chat template, its ``<think>`` included, able to place images.

    Raises:
        ConfigError: without a template, or when images do not come out of it.
    """
    template = tokenizer.chat_template
    if template is None:
        raise ConfigError(
            "model.policy.language_model: its tokenizer has no chat template, with which prompts are written. "
            "Give a chat model, or set tokenizer.chat_template and save it."
        )
    for candidate in (template, _FLATTEN.replace("IMAGE_TOKEN", token) + template):
        if _places_images(tokenizer, candidate, token):
            return candidate
    raise ConfigError(
        f"model.policy.language_model: its chat template does not write {token!r} where a message has an image, not "
        "even when the message is handed over as plain text. Put one into the tokenizer that does."
    )


def _places_images(tokenizer: Any, template: str, token: str) -> bool:
    """Return whether two images and a question come out as two tokens and that question, in order."""
    content: Sequence[dict[str, str]] = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "QUESTION"}]
    try:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], chat_template=template, tokenize=False, add_generation_prompt=True
        )
    except Exception:  # a template may raise whatever it likes about a list where it expects text
        return False
    before, _, _ = text.partition("QUESTION")
    return "QUESTION" in text and before.count(token) == text.count(token) == 2
