"""Refuses values of a wrong type."""

import typing
from typing import Any

import yaml

from algorithms import ConfigError
from cli.keys.nearest import nearest
from cli.keys.settings import Setting, alternatives, classes_in, in_words

_MAX_VALUE = 120  # characters
# Words that YAML and the parser read as true, false or null.
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "none", "~", ""}


def check_type(setting: Setting, given: Any, key: str, where: str) -> None:
    """Refuse a value that a plain setting cannot have. The parser decides doubtful values.

    Args:
        setting: the setting.
        given: the value, as YAML reads it.
        key: its dotted key.
        where: end of the message: the file.

    Raises:
        ConfigError: names the key, the allowed values, and the given value.
    """
    kinds = alternatives(setting.annotation)
    if given is None:
        takes_null = setting.default is None or any(kind in (None, type(None), Any) for kind in kinds)
        is_wrong = not takes_null and setting.annotation is not setting.default
    elif (bases := classes_in(setting.annotation)) and all(kind in (*bases, type(None)) for kind in kinds):
        # A text may be the short form of a class.
        is_wrong = isinstance(given, bool | int | float | list)
    elif all(kind in (int, float, bool, type(None)) or typing.get_origin(kind) is typing.Literal for kind in kinds):
        is_wrong = not _fits(given, kinds)
    else:
        is_wrong = False
    if is_wrong:
        raise ConfigError(must_be(key, setting, given) + where)


def must_be(key: str, setting: Setting, value: Any, cause: str = "") -> str:
    """Return the sentence of the error about a value.

    Args:
        key: the setting's dotted key.
        setting: the setting.
        value: the given value.
        cause: why the value is not allowed, if the type does not show it.
    """
    reason = cause or _hint(value, setting)
    end = f": {reason}" if reason else ""
    return f"{key} must be {in_words(setting.annotation)}, got {as_typed(value)}{end}{'' if end.endswith('?') else '.'}"


def as_typed(value: Any) -> str:
    """Return a value as a user types it."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if value.strip() else "nothing"
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).replace("\n...", "").strip()
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]} ..."


def _fits(given: Any, kinds: list[Any]) -> bool:
    choices = [choice for kind in kinds for choice in typing.get_args(kind)]
    if isinstance(given, bool):
        return bool in kinds or given in choices
    if isinstance(given, int | float):
        # The parser accepts 2 as a float, but not 2.0 as an int.
        return float in kinds or bool(choices) or (int in kinds and isinstance(given, int))
    if not isinstance(given, str):
        return False
    if "${" in given or given.lower() in _WORDS or given in map(str, choices):
        return True
    return (int in kinds or float in kinds) and _is_number(given)


def _is_number(text: str) -> bool:
    # "nan" and "inf" are texts to YAML, which writes them .nan and .inf.
    try:
        return text[0] in "+-.0123456789" and bool(float(text) + 1.0)
    except ValueError:
        return False


def _hint(value: Any, setting: Setting) -> str:
    kinds = alternatives(setting.annotation)
    if isinstance(value, float) and int in kinds and value.is_integer():
        return f"write {int(value)}"
    if not isinstance(value, str):
        return ""
    choices = [str(choice) for kind in kinds for choice in typing.get_args(kind) if isinstance(choice, str)]
    if found := nearest(value, choices):
        return f"did you mean {found}?"
    if float in kinds or int in kinds:
        return _hint_for_number(value)
    return (
        f"write [{value}]"
        if "[" not in value and any(typing.get_origin(kind) in (tuple, list) for kind in kinds)
        else ""
    )


def _hint_for_number(value: str) -> str:
    if value.endswith("%") and _is_number(value[:-1]):
        return f"a share is written {float(value[:-1]) / 100:g}"
    if value[:1].isdigit() and "," in value:
        return "decimals have a point"
    if _is_number(value):
        return f"write {float(value):.0f}" if float(value).is_integer() else ""
    return "write the number alone, without a unit" if value[:1].isdigit() else ""
