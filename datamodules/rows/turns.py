"""Reads question and completions of a preference pair, which are texts or conversations.

``datamodules.rows.pair_rows`` has the layouts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datamodules.rows.cells import IMAGE_MARK, BadRow, is_text, wrong_type

# One image before a question, as MMPR spells it.
LEADING_MARK = f"{IMAGE_MARK}\n"
QUESTION_COLUMNS = ("question", "prompt")


@dataclass(frozen=True, slots=True)
class Turns:
    """A question and its two completions."""

    question: str
    chosen: str
    rejected: str


def turns_of(cells: Mapping[str, Any]) -> Turns:
    """Find the question and the completions in either layout; completions may still be empty or equal.

    Raises:
        BadRow: "wrong type", "unsupported conversation" or "empty question".
    """
    # The user turn is None when the cell holds only a completion.
    user_turn, chosen = _completion("chosen", cells.get("chosen"))
    other_user_turn, rejected = _completion("rejected", cells.get("rejected"))
    if user_turn != other_user_turn:
        raise _unsupported(f"chosen answers the user turn {user_turn!r:.60}, rejected answers {other_user_turn!r:.60}")
    return Turns(_question(cells, user_turn), chosen, rejected)


def _unsupported(detail: str) -> BadRow:
    return BadRow("unsupported conversation", detail)


def _question(cells: Mapping[str, Any], user_turn: str | None) -> str:
    given = [name for name in QUESTION_COLUMNS if cells.get(name) is not None]
    if len(given) > 1:
        raise BadRow("wrong type", "give question or prompt, not both")
    if not given and user_turn is None:
        raise BadRow("empty question", f"no question or prompt among the columns {', '.join(cells)}")
    if not given:
        return user_turn or ""
    question = _user_text(given[0], cells[given[0]])
    # Some files repeat the user turn inside of both completions.
    if user_turn is not None and user_turn.strip() != question.strip():
        raise _unsupported(f"{given[0]} is {question!r:.60}, but chosen answers the user turn {user_turn!r:.60}")
    return question


def _user_text(column: str, cell: Any) -> str:
    if not isinstance(cell, list):
        return _text(column, cell)
    turns = _conversation(column, cell)
    roles = [role for role, _ in turns]
    if roles != ["user"]:
        raise _unsupported(f"{column} has the turns [{', '.join(roles)}]; only a single user turn can be read")
    return _content(column, turns[0][1], images_allowed=True)


def _completion(column: str, cell: Any) -> tuple[str | None, str]:
    """Return the user turn (None when the cell has none) and the completion."""
    if cell is None:
        return None, ""
    if not isinstance(cell, list):
        return None, _text(column, cell)
    turns = _conversation(column, cell)
    roles = [role for role, _ in turns]
    if roles not in ([], ["assistant"], ["user", "assistant"]):
        raise _unsupported(
            f"{column} has the turns [{', '.join(roles)}]; only [assistant] and [user, assistant] can be read"
        )
    user_turn = _content(column, turns[0][1], images_allowed=True) if len(turns) == 2 else None
    # An empty conversation is no error here: check_completions refuses it as an empty completion.
    return user_turn, _content(column, turns[-1][1], images_allowed=False) if turns else ""


def _conversation(column: str, cell: list[Any]) -> list[tuple[str, Any]]:
    for turn in cell:
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise wrong_type(column, "text or a list of turns {role, content}", turn)
        _refuse_further(column, turn, ("role", "content"))
    return [(turn["role"], turn.get("content")) for turn in cell]


def _content(column: str, content: Any, *, images_allowed: bool) -> str:
    if content is None:
        return ""
    if not isinstance(content, list):
        return _text(column, content)
    return "".join(_part(column, part, images_allowed=images_allowed) for part in content)


def _part(column: str, part: Any, *, images_allowed: bool) -> str:
    part_type = part.get("type") if isinstance(part, dict) else None
    if part_type is None:
        raise wrong_type(column, "text or a list of parts {type, ...}", part)
    if part_type == "text":
        _refuse_further(column, part, ("type", "text"))
        return _text(column, part.get("text"))
    if part_type != "image" or not images_allowed:
        raise _unsupported(f"{column} has a part of type {part_type!r:.40}, which cannot be read there")
    # Further empty fields are allowed, because parquet gives all parts of a list the same fields.
    _refuse_further(column, part, ("type",), "name images in the column images")
    return LEADING_MARK


def _refuse_further(column: str, item: Mapping[str, Any], allowed: tuple[str, ...], advice: str = "") -> None:
    """Refuse content that would be lost: tool calls, separate reasoning, images inside of a turn."""
    further = [name for name, cell in item.items() if name not in allowed and cell not in (None, "", [], {})]
    if further:
        found = f"{column} has {', '.join(further)} beside {', '.join(allowed)}"
        raise _unsupported(f"{found}; {advice}" if advice else found)


def _text(column: str, cell: Any) -> str:
    if not is_text(cell):
        raise wrong_type(column, "Unicode text or a conversation", cell)
    return cell
