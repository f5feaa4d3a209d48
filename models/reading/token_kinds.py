"""Which tokens end a turn, which tokens no completion may hold, and which tokens no text of a user may become.

    ends        eos of the tokenizer, eos tokens of generation_config, the token with which the template closes a turn
    banned      images, structure of the conversation, padding, rows of the embeddings that no token uses
    content     special tokens that a completion may need: <think>, <box>, <tool_call>, <answer> ...; never banned

One end token is not enough: Qwen and Llama 3 close a turn with one token and end a text with another.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from algorithms import ConfigError
from models.reading.chat_frame import chat_frame

_NAMED = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id")
_IMAGE_IDS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id", "image_token_index")
_IMAGE_TEXTS = ("image_token", "video_token", "start_image_token", "end_image_token", "vision_start_token")
_ANY_TEXT = "x \u2603 \U0001f9ed"
_BRACKETS = ("<", "[", "|")
# Words in the names of tokens, such as <|object_ref_start|>.
_IMAGE_WORDS = {"image", "img", "vision", "video", "audio", "patch", "frame"}
_CONTENT_WORDS = {
    "answer", "bbox", "box", "code", "function", "functions", "point", "points", "poly", "polygon", "python",
    "quad", "reason", "reasoning", "ref", "solution", "think", "thinking", "thought", "tool", "tools",
}  # fmt: skip


@dataclass(frozen=True)
class TokenKinds:
    """The tokens of a tokenizer, by their purpose."""

    end_ids: tuple[int, ...]
    """The tokens that end a turn. The first one is appended to completions that are given as texts."""

    structural_ids: frozenset[int]
    """Tokens that only a template or a processor may write, end tokens among them."""

    unknown_ids: frozenset[int]
    """Tokens for words that are not in the vocabulary; any text may contain such words."""

    structural_texts: frozenset[str]
    """The texts of the structural tokens, and the marks by which a processor finds its images."""

    special_texts: frozenset[str]
    """The structural texts, and all other tokens that the tokenizer calls special."""

    @cached_property
    def in_completions(self) -> re.Pattern[str] | None:
        """Pattern of control tokens in a completion; None when there are none."""
        return _any_of(self.structural_texts)

    @cached_property
    def in_questions(self) -> re.Pattern[str] | None:
        """Pattern of control tokens in the words of a user; None when there are none."""
        return _any_of(self.special_texts)

    @cached_property
    def never_from_text(self) -> frozenset[int]:
        """Tokens that a text must not add: their number is fixed by the template."""
        return self.structural_ids - self.unknown_ids


def token_kinds(processor: Any, model: Any = None) -> TokenKinds:
    """Return the kinds of the tokens of a processor or tokenizer.

    Args:
        processor: a ``ProcessorMixin`` or tokenizer.
        model: the model that reads the tokens; its configs name more image and end tokens.

    Raises:
        ConfigError: for a chat template that closes a turn with a token that no completion may hold, and for a
            tokenizer without any end token.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    words = _Words(tokenizer)
    frame = chat_frame(processor, has_vision=getattr(processor, "image_processor", None) is not None)
    images = _image_ids(processor, tokenizer, model)
    in_frame = {token for token in words.encode(frame.text) if words.is_marker(token)}
    closing = next((token for token in words.encode(frame.closing) if words.is_marker(token)), None)
    content = {token for token in words.special | set(words.added) if words.is_content(token, in_frame)} - images
    never_ends = {
        **dict.fromkeys(content, "part of a completion"),
        # The first of the structural tokens after the text may close the user's turn.
        **dict.fromkeys([t for t in words.encode(frame.opening) if words.is_marker(t)][1:], "the start of a turn"),
        **{token: "the unknown word" for token in (tokenizer.unk_token_id,) if token is not None},
        **dict.fromkeys(images, "an image"),
    }
    never_ends.pop(tokenizer.eos_token_id, None)
    listed = [token for token in _listed_ends(model) if words.is_marker(token) and token not in never_ends]
    _check_closing(words, closing, never_ends, [tokenizer.eos_token_id, *listed])
    ends = tuple(dict.fromkeys(t for t in (closing, tokenizer.eos_token_id, *listed) if t is not None))
    if not ends:
        raise ConfigError(
            "model.policy: its tokenizer has no eos_token, generation_config.json names none, and its chat template "
            "closes a turn with no token: no completion could end. Set eos_token and save the tokenizer."
        )
    structural = frozenset((words.special | images | in_frame | set(ends)) - content)
    special = structural | words.special
    marks = {str(mark) for key in _IMAGE_TEXTS if (mark := getattr(processor, key, None))}
    return TokenKinds(
        end_ids=ends,
        structural_ids=structural,
        # Found by a test: a tokenizer may have an unknown-word token that its settings do not name.
        unknown_ids=structural.intersection(words.encode(_ANY_TEXT)),
        structural_texts=frozenset({words.text(token) for token in structural} | marks),
        special_texts=frozenset({words.text(token) for token in special} | marks),
    )


class _Words:
    """The tokens of a tokenizer that are not pieces of ordinary text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        # A tokenizer finds added tokens before it cuts a text into words. Many added tokens are not called special.
        self.added: dict[int, str] = {token: str(text) for token, text in tokenizer.added_tokens_decoder.items()}
        self.named = {token for key in _NAMED if (token := getattr(tokenizer, key, None)) is not None}
        flagged = {token for token, text in tokenizer.added_tokens_decoder.items() if text.special}
        self.special = self.named | flagged | set(tokenizer.all_special_ids)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []

    def text(self, token: int) -> str:
        return self.added.get(token) or self.tokenizer.convert_ids_to_tokens(token)

    def is_marker(self, token: int) -> bool:
        """Return whether a token is special, or added and written in brackets; added runs of spaces are neither."""
        return token in self.special or self.added.get(token, "").startswith(_BRACKETS)

    def is_content(self, token: int, in_frame: Collection[int]) -> bool:
        """Return whether a special token may be part of a completion, by its name or its closing partner."""
        text = self.text(token)
        parts = set(re.findall("[a-z]+", text.lower()))
        if token in self.named or parts & _IMAGE_WORDS:
            return False
        pair = re.fullmatch(r"<(/?)(\w+)>", text)
        if parts & _CONTENT_WORDS or pair is None or token in in_frame:
            return bool(parts & _CONTENT_WORDS)
        return (f"<{pair[2]}>" if pair[1] else f"</{pair[2]}>") in self.added.values()


def _image_ids(processor: Any, tokenizer: Any, model: Any) -> set[int]:
    """Return the tokens that stand for images and video, or around them; not every tokenizer calls them special."""
    config = getattr(model, "config", None)
    named = {getattr(holder, key, None) for holder in (config, processor) for key in _IMAGE_IDS}
    vocabulary = tokenizer.get_vocab()
    named |= {vocabulary.get(str(getattr(processor, key, None))) for key in _IMAGE_TEXTS}
    return {token for token in named if isinstance(token, int)}


def _listed_ends(model: Any) -> list[int]:
    """Return the end tokens of ``generation_config.json``."""
    # Without that file transformers takes the end token of the model's config, which may be any word.
    listed = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return [] if listed is None else [listed] if isinstance(listed, int) else list(listed)


def _check_closing(words: _Words, closing: int | None, never_ends: Mapping[int, str], ends: Collection[int]) -> None:
    """Refuse a template with which no turn could end."""
    kind = never_ends.get(closing) if closing is not None else None
    if closing in words.named and closing not in ends:
        kind = kind or "padding or the start of a text"
    if kind is None or closing is None:
        return
    raise ConfigError(
        f"model.policy: its chat template closes a turn with {words.text(closing)!r}, which stands for {kind} and may "
        "not end a completion, so that the policy could never end its turn. Take a template that closes turns with "
        "an end token; the tokenizer's eos_token may name it."
    )


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    # Longest first, so that <|end|> does not hide <|end|>of.
    ordered = sorted((text for text in texts if text), key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None
