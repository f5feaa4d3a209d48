"""Reads a question from a conversation: turns {role, content} or {from, value}, or such turns as JSON text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datamodules.rows.cells import IMAGE_MARK, BadRow, is_text, wrong_type
from datamodules.rows.columns.lookup import listed

# ShareGPT's and LLaVA's names for the same roles.
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
_IMAGE_KEYS = ("image", "path", "url", "image_url", "bytes")


@dataclass(slots=True)
class Asked:
    """The question of a conversation, and what belongs to it."""

    question: str = ""
    system: str = ""
    completion: str | None = None
    """The answer of the assistant, if the conversation contains it."""

    images: list[Any] = field(default_factory=list[Any])
    """Images inside of the turns."""


def asked_by(name: str, cell: Any) -> Asked | None:
    """Return the question of a conversation; None when the cell is no conversation.

    Args:
        name: name of the column, for messages.
        cell: turns, or JSON text of turns.

    Raises:
        BadRow: "unsupported conversation", when a part of it would be lost.
    """
    turns = listed(cell)
    # A list without roles may be anything else, so the caller decides what it is.
    if turns is None or not turns or not all(_role(turn) for turn in turns):
        return None
    # Several user turns, or tool calls, would be lost: a prompt has one question.
    roles = [_role(turn) for turn in turns]
    rest = roles[1:] if roles[0] == "system" else roles
    if rest not in (["user"], ["user", "assistant"]):
        raise BadRow(
            "unsupported conversation",
            f"{name} has the turns [{', '.join(map(str, roles))}]; a question is [user], with or without a system turn "
            "before it and one assistant turn behind it",
        )
    asked = Asked()
    for role, turn in zip(roles, turns, strict=True):
        text = _content(name, turn.get("content", turn.get("value")), asked.images if role == "user" else None)
        if role == "system":
            asked.system = text
        elif role == "user":
            asked.question = text
        else:
            asked.completion = text
    return asked


def _role(turn: Any) -> str | None:
    role = turn.get("role", turn.get("from")) if isinstance(turn, Mapping) else None
    return _ROLES.get(role, role) if isinstance(role, str) else None


def _content(name: str, content: Any, images: list[Any] | None) -> str:
    if isinstance(content, list):
        return "".join(_part(name, part, images) for part in content)
    if not is_text(content):
        raise wrong_type(name, "Unicode text or a list of parts {type, ...}", content)
    return content


def _part(name: str, part: Any, images: list[Any] | None) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and is_text(part.get("text")):
        return part["text"]
    if kind not in ("image", "image_url") or images is None:
        raise BadRow("unsupported conversation", f"{name} has a part of type {kind!r:.40}, which cannot be read there")
    given = next((part[key] for key in _IMAGE_KEYS if part.get(key) is not None), None)
    # {"type": "image_url", "image_url": {"url": ...}}
    image = given.get("url") if isinstance(given, Mapping) and "bytes" not in given else given
    if image is not None:
        images.append(image)
    return f"{IMAGE_MARK}\n"
