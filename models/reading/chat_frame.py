"""The texts that a chat template writes around question and answer, found by rendering a conversation.

    <|im_start|>user QUESTION<|im_end|> <|im_start|>assistant ANSWER<|im_end|>
                             '------------ opening -----------'      '- closing -'

Templates are programs: only rendering shows which texts they write.
"""

from dataclasses import dataclass
from typing import Any

# A tokenizer or a processor of transformers; both are annotated with less than they take.
Renderer = Any
Content = str | list[dict[str, str]]

_QUESTION, _ANSWER = "QUESTION", "ANSWER"


@dataclass(frozen=True, slots=True)
class ChatFrame:
    """The texts that a template writes itself."""

    text: str = ""
    """All texts of a conversation except question and answer, and the generation prompt."""

    opening: str = ""
    """From the end of the question to where the completion begins."""

    closing: str = ""
    """What follows the answer."""


def chat_frame(renderer: Renderer, *, has_vision: bool) -> ChatFrame:
    """Return the texts of a processor's or tokenizer's template; empty texts without a template that can be rendered.

    Args:
        renderer: processor or tokenizer whose ``apply_chat_template`` is called.
        has_vision: whether the content of a message is a list of parts, as for a model with vision.
    """
    user = {"role": "user", "content": content(_QUESTION, has_vision=has_vision)}
    assistant = {"role": "assistant", "content": content(_ANSWER, has_vision=has_vision)}
    closed = _rendered(renderer, [user, assistant], add_generation_prompt=False)
    asked = _rendered(renderer, [user], add_generation_prompt=True)
    before, answer, closing = closed.partition(_ANSWER)
    opening = asked.partition(_QUESTION)[2]
    return ChatFrame((before + closing + asked).replace(_QUESTION, " "), opening, closing if answer else "")


def content(text: str, *, has_vision: bool) -> Content:
    """Return the content of a message that is text alone."""
    return [{"type": "text", "text": text}] if has_vision else text


def _rendered(renderer: Renderer, conversation: list[dict[str, Any]], *, add_generation_prompt: bool) -> str:
    try:
        return renderer.apply_chat_template(conversation, add_generation_prompt=add_generation_prompt, tokenize=False)
    except Exception:  # templates raise errors of any class; a prompt that needs the template meets them again
        return ""
