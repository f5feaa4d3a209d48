"""Checks plain data from a network against the types that it must have."""

import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from algorithms import DataError

T = TypeVar("T")
_MAX_INT = 2**63


def built(cls: type[T], fields: Any) -> T:
    """Return a dataclass or named tuple with these fields.

    Raises:
        DataError: for a field that the class does not have, that is missing, or whose value has another type.
    """
    hints = get_type_hints(cls)
    if not isinstance(fields, dict):
        raise DataError(f"{cls.__name__} must be an object with named fields, got {type(fields).__name__}.")
    check_values(cls.__name__, fields, hints)
    try:
        return cls(**fields)
    except TypeError as error:
        raise DataError(f"{cls.__name__} cannot be made of {sorted(fields)}: {error}.") from error


def check_values(what: str, values: Mapping[Any, Any], hints: Mapping[str, Any]) -> None:
    """Refuse values that are not listed, or not of their type.

    Raises:
        DataError: names the first such value.
    """
    for name, value in values.items():
        if name not in hints:
            raise DataError(f"{what} has no {name!r}; it has {', '.join(sorted(hints))}.")
        if not fits(value, hints[name]):
            hint = getattr(hints[name], "__name__", "") if isinstance(hints[name], type) else hints[name]
            raise DataError(f"{what}: {name} must be {hint}, got {repr(value)[:80]}.")


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value has a type; numbers must be finite, and true and false are no numbers."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        # Types are compared with ``is``: true equals 1, but must not pass for it.
        return any(type(value) is type(choice) and value == choice for choice in inner)
    if origin is UnionType:
        return any(fits(value, choice) for choice in inner)
    if origin is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if hint is float:
        return type(value) in (int, float) and abs(value) < _MAX_INT and math.isfinite(value)
    if hint is int:
        return type(value) is int and abs(value) < _MAX_INT
    return hint is Any or type(value) is hint
