"""Reads the settings of a class as the parser does: name, type, default and meaning."""

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any

from jsonargparse import set_parsing_settings

# The parser's own function: it follows **kwargs into base classes and takes meanings from docstrings. It is private,
# and jsonargparse is pinned to its minor version.
from jsonargparse._parameter_resolvers import get_signature_parameters

REQUIRED = inspect.Parameter.empty
# Classes whose values a config writes as plain YAML.
_PLAIN = (bool, int, float, complex, str, bytes, type(None), PurePath, Enum, list, tuple, set, dict, type)


@dataclass(frozen=True)
class Setting:
    """One key below a class."""

    name: str
    annotation: Any
    default: Any
    """The default; ``REQUIRED`` when the setting has none."""
    meaning: str
    """The meaning from the docstring, in one line; empty when the docstring has none."""
    owner: type | None = None
    """The class that has this setting."""


@cache
def settings_of(owner: type) -> Mapping[str, Setting]:
    """Return the settings of a class or dataclass, by name.

    Args:
        owner: the class.
    """
    # The meaning of a dataclass field is the docstring below it; without this option the parser does not read it.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    return {
        found.name: Setting(found.name, found.annotation, found.default, " ".join((found.doc or "").split()), owner)
        for found in get_signature_parameters(owner, logger=False)
    }


def alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union and of unions inside of it; for any other type the type itself."""
    annotation = getattr(annotation, "__value__", annotation)  # the right side of a type statement
    if annotation is inspect.Parameter.empty:
        return [Any]
    if typing.get_origin(annotation) is typing.Annotated:
        return alternatives(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [each for member in typing.get_args(annotation) for each in alternatives(member)]
    return [annotation]


def classes_in(annotation: Any) -> list[type]:
    """Return the classes in a type whose values have keys: dataclasses, and classes that ``class_path`` chooses."""
    return [
        each
        for each in alternatives(annotation)
        # Any is a class in Python 3.11 and later.
        if isinstance(each, type)
        and each is not Any
        and typing.get_origin(each) is None
        and not issubclass(each, _PLAIN)
    ]


def is_dataclass(owner: type) -> bool:
    """Return whether settings of this class are written without ``class_path``."""
    return dataclasses.is_dataclass(owner)


def is_open(annotation: Any) -> bool:
    """Return whether values of this type may have keys of any name."""
    return any(
        each is Any or each is object or typing.get_origin(each) is Callable for each in alternatives(annotation)
    )


def values_of_mapping(annotation: Any) -> Any:
    """Return the type of the values of a ``dict[str, T]``; None when the type contains no such dictionary."""
    for each in alternatives(annotation):
        arguments = typing.get_args(each)
        if typing.get_origin(each) in (dict, Mapping) and len(arguments) == 2:
            return arguments[1]
    return None


def subclasses(base: type) -> list[type]:
    """Return the imported classes that a config may choose for a base class; the base itself too, unless abstract.

    Args:
        base: a class; for a protocol, the classes of its package that implement it are returned.
    """
    if getattr(base, "_is_protocol", False):
        asked = [name for name in vars(base) if not name.startswith("_")]
        package = sys.modules[base.__module__.partition(".")[0]]
        listed = [each for each in vars(package).values() if isinstance(each, type)]
        return [each for each in listed if each is not base and all(hasattr(each, name) for name in asked)]
    found: dict[type, None] = {}
    waiting: list[type] = [base]
    while waiting:
        owner = waiting.pop(0)
        if not inspect.isabstract(owner):
            found[owner] = None
        waiting += [each for each in type.__subclasses__(owner) if each not in found]
    return list(found)


def shortest_path(owner: type) -> str:
    """Return the shortest path under which a class can be imported, as ``--print_config`` writes it."""
    parts = owner.__module__.split(".")
    for length in range(1, len(parts)):
        package = ".".join(parts[:length])
        if getattr(sys.modules.get(package), owner.__name__, None) is owner:
            return f"{package}.{owner.__name__}"
    return f"{owner.__module__}.{owner.__qualname__}"


def in_words(annotation: Any) -> str:
    """Describe in words the values that a type allows in a config.

    >>> in_words(int | None)
    'a whole number or null'
    """
    kinds = alternatives(annotation)
    choices = dict.fromkeys(
        str(choice) for each in kinds if typing.get_origin(each) is typing.Literal for choice in typing.get_args(each)
    )
    words = [f"one of {', '.join(choices)}"] if choices else []
    words += [_words(each) for each in kinds if typing.get_origin(each) is not typing.Literal]
    # Null comes last, because users look for it least.
    return " or ".join(sorted(dict.fromkeys(words), key=lambda word: word == "null"))


def _words(one: Any) -> str:
    if one is None or one is type(None):
        return "null"
    known = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if one in known:
        return known[one]
    origin = typing.get_origin(one)
    if origin is dict or one is dict or origin is Mapping:
        return "a mapping such as {name: value}"
    if origin is Callable:
        return "the import path of a function, such as my_module.my_function"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Iterable):
        return f"a list such as [{'1, 2' if int in typing.get_args(one) else 'a, b'}]"
    if isinstance(one, type) and classes_in(one):
        return f"settings of {one.__name__}" if is_dataclass(one) else f"the class_path of a {one.__name__}"
    return getattr(one, "__name__", str(one))
