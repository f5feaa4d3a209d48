"""Finds the known name that a user probably meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher

# Two names with a smaller share of equal letters count as unrelated.
_LEAST = 0.6
_SHOWN = 11


def nearest(word: str, known: Iterable[str], *, least: float = _LEAST) -> str | None:
    """Return the known name that is most like a word; None when no name is like it.

    Args:
        word: word as typed.
        known: known names.
        least: likeness that the name must have at least; equal names have 1.

    >>> nearest("grop_size", ["group_size", "temperature"])
    'group_size'
    """
    scored = [(_likeness(word, name), name) for name in known]
    best = max(scored, default=(0.0, ""), key=lambda pair: pair[0])
    return best[1] if best[0] >= least else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question with the nearest name, else a list of the known names; empty without known names."""
    names = list(dict.fromkeys(known))
    if found := nearest(word, names):
        return f"did you mean {found}?"
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"known: {', '.join(names[:_SHOWN])}{more}."


def _likeness(word: str, name: str) -> float:
    one, other = (text.lower().replace("-", "_") for text in (word, name))
    # A name that was cut short, or has an extra letter at the end, is nearer than the ratio of lengths suggests.
    bonus = 0.1 if min(len(one), len(other)) > 2 and (one.startswith(other) or other.startswith(one)) else 0.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio() + bonus
