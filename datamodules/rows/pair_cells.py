"""The cells of one row -> the turns of a preference pair and its further fields, or why they cannot be used.

``datamodules.rows.pair_rows`` has the table of columns.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from algorithms.records import Prompt
from datamodules.rows.prompt_cells import IMAGE_MARK, BadRow, _is_text, _wrong_type, prompt_of

LEADING_MARK = f"{IMAGE_MARK}\n"
QUESTION_COLUMNS = ("question", "prompt")
PAIR_COLUMNS = (
    *QUESTION_COLUMNS,
    "chosen",
    "rejected",
    "answer_gt",
    "kind",
    "chosen_score",
    "rejected_score",
    "rejected_ended",
    "marks_added",
    "prompt_columns",
)


@dataclass(frozen=True, slots=True)
class Turns:
    """What is asked, and the two ways to go on."""

    question: str
    chosen: str
    rejected: str


def turns_of(cells: Mapping[str, Any]) -> Turns:
    """Find the question and the completions in either layout; completions may still be empty or equal.

    Raises:
        BadRow: "wrong type", "unsupported conversation" or "empty question".
    """
    asked, chosen = _completion("chosen", cells.get("chosen"))
    asked_again, rejected = _completion("rejected", cells.get("rejected"))
    if asked != asked_again:
        raise _unsupported(f"chosen answers the user turn {asked!r:.60}, rejected answers {asked_again!r:.60}")
    return Turns(_question(cells, asked), chosen, rejected)


def check_completions(turns: Turns) -> None:
    """Refuse completions that cannot be preferred to each other.

    Raises:
        BadRow: "empty completion", "chosen equals rejected" or "image marks do not match images".
    """
    for column, text in (("chosen", turns.chosen), ("rejected", turns.rejected)):
        if not text.strip():
            raise BadRow("empty completion", f"{column} is {text!r:.80}")
        if IMAGE_MARK in text:
            # Many tokenizers turn the mark into an image token, for which the completion brings no image.
            raise BadRow("image marks do not match images", f"{column} holds {IMAGE_MARK}; only a question may")
    if turns.chosen.strip() == turns.rejected.strip():
        raise BadRow("chosen equals rejected", f"both are {turns.chosen!r:.80}")


def prompt_of_pair(uid: int, key: str, cells: Mapping[str, Any], question: str, folder: Path) -> Prompt:
    """Build the prompt of a pair, without looking into its images.

    Args:
        uid: Position in the data set.
        key: The row's name.
        cells: Cells by column.
        question: What ``turns_of`` found.
        folder: Where image paths start, with symbolic links resolved.

    Raises:
        BadRow: The row cannot be used.
    """
    own = {name: cell for name, cell in cells.items() if name not in PAIR_COLUMNS}
    prompt = prompt_of(uid, key, {**own, "question": question, "answer": _answer(cells)}, folder)
    if _yes_or_no(cells, "marks_added", default=False):
        prompt = replace(prompt, question=question.removeprefix(LEADING_MARK * len(prompt.images)))
    hidden = cells.get("prompt_columns")
    if hidden is None:
        return prompt
    if not isinstance(hidden, dict):
        raise _wrong_type("prompt_columns", "an object", hidden)
    return replace(prompt, columns={**prompt.columns, **hidden})


def pair_fields(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a pair that no other data set has, with their defaults.

    Raises:
        BadRow: "wrong type".
    """
    kind = cells.get("kind")
    if kind is not None and not (_is_text(kind) and kind.strip()):
        raise _wrong_type("kind", "Unicode text that is not blank", kind)
    return {
        "kind": "given" if kind is None else kind,
        "chosen_score": _score(cells, "chosen_score"),
        "rejected_score": _score(cells, "rejected_score"),
        "rejected_ended": _yes_or_no(cells, "rejected_ended", default=True),
    }


def _unsupported(detail: str) -> BadRow:
    return BadRow("unsupported conversation", detail)


def _question(cells: Mapping[str, Any], asked: str | None) -> str:
    given = [name for name in QUESTION_COLUMNS if cells.get(name) is not None]
    if len(given) > 1:
        raise BadRow("wrong type", "give question or prompt, not both")
    if not given and asked is None:
        raise BadRow("empty question", f"no question or prompt among the columns {', '.join(cells)}")
    if not given:
        return asked or ""
    question = _user_text(given[0], cells[given[0]])
    # Some files repeat the user turn inside of both completions.
    if asked is not None and asked.strip() != question.strip():
        raise _unsupported(f"{given[0]} is {question!r:.60}, but chosen answers the user turn {asked!r:.60}")
    return question


def _user_text(column: str, cell: Any) -> str:
    if not isinstance(cell, list):
        return _text(column, cell)
    turns = _conversation(column, cell)
    roles = [role for role, _ in turns]
    if roles != ["user"]:
        raise _unsupported(f"{column} has the turns [{', '.join(roles)}]; only a single user turn can be read")
    return _content(column, turns[0][1], may_show=True)


def _completion(column: str, cell: Any) -> tuple[str | None, str]:
    """Return the user turn that is answered, if the cell holds it, and the answer."""
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
    asked = _content(column, turns[0][1], may_show=True) if len(turns) == 2 else None
    return asked, _content(column, turns[-1][1], may_show=False) if turns else ""


def _conversation(column: str, cell: list[Any]) -> list[tuple[str, Any]]:
    for turn in cell:
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise _wrong_type(column, "text or a list of turns {role, content}", turn)
        _refuse_further(column, turn, ("role", "content"))
    return [(turn["role"], turn.get("content")) for turn in cell]


def _content(column: str, content: Any, *, may_show: bool) -> str:
    if content is None:
        return ""
    if not isinstance(content, list):
        return _text(column, content)
    return "".join(_part(column, part, may_show=may_show) for part in content)


def _part(column: str, part: Any, *, may_show: bool) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind is None:
        raise _wrong_type(column, "text or a list of parts {type, ...}", part)
    if kind == "text":
        _refuse_further(column, part, ("type", "text"))
        return _text(column, part.get("text"))
    if kind != "image" or not may_show:
        raise _unsupported(f"{column} has a part of type {kind!r:.40}, which cannot be read there")
    # Parquet fills a part with the fields of its siblings.
    _refuse_further(column, part, ("type",), "name images in the column images")
    return LEADING_MARK


def _refuse_further(column: str, item: Mapping[str, Any], allowed: tuple[str, ...], advice: str = "") -> None:
    """Refuse what would be lost: tool calls, separate reasoning, images inside of a turn."""
    further = [name for name, cell in item.items() if name not in allowed and cell not in (None, "", [], {})]
    if further:
        found = f"{column} has {', '.join(further)} beside {', '.join(allowed)}"
        raise _unsupported(f"{found}; {advice}" if advice else found)


def _text(column: str, cell: Any) -> str:
    if not _is_text(cell):
        raise _wrong_type(column, "Unicode text or a conversation", cell)
    return cell


def _answer(cells: Mapping[str, Any]) -> Any:
    given = [cells[name] for name in ("answer", "answer_gt") if cells.get(name) is not None]
    if len(given) == 2 and given[0] != given[1]:
        raise BadRow("wrong type", f"answer is {given[0]!r:.40} and answer_gt is {given[1]!r:.40}: give one of them")
    return given[0] if given else None


def _score(cells: Mapping[str, Any], column: str) -> float | None:
    cell = cells.get(column)
    if cell is None:
        return None
    try:
        score = float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else math.nan
    except OverflowError:  # JSON sets no limit to whole numbers
        score = math.inf
    if not math.isfinite(score):
        raise _wrong_type(column, "a finite number", cell)
    return score


def _yes_or_no(cells: Mapping[str, Any], column: str, *, default: bool) -> bool:
    cell = cells.get(column)
    if cell is None:
        return default
    if not isinstance(cell, bool):
        raise _wrong_type(column, "true or false", cell)
    return cell
