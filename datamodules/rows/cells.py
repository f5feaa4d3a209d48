"""Checks that apply to the cells of any column and layout."""

from typing import Any

# The mark of an image in a question, as MMPR spells it.
IMAGE_MARK = "<image>"


class BadRow(ValueError):
    """A row that cannot be used: a reason, by which rows are counted, and a detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def wrong_type(column: str, allowed: str, cell: Any) -> BadRow:
    """Return the error for a cell of a type that its column does not allow."""
    return BadRow("wrong type", f"{column} must be {allowed}, got {cell!r:.80}")


def is_text(cell: Any) -> bool:
    """Return whether a cell is text that can be written to a file."""
    if not isinstance(cell, str):
        return False
    try:
        cell.encode()
    except UnicodeEncodeError:
        # JSON can contain half of a surrogate pair, at which tokenizers and files raise an error.
        return False
    return True


def is_whole_number(cell: Any) -> bool:
    """Return whether a cell is a whole number; true and false are none."""
    # Python's bool is a subclass of int.
    return isinstance(cell, int) and not isinstance(cell, bool)
