"""Shortens the parser's message about a wrong value, which lists every type that it tried, to one sentence."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cli.given.settings import value_at
from cli.keys.nearest import did_you_mean
from cli.keys.settings import Setting
from cli.mistakes.wrong_types import must_be

_KEY = re.compile(r'Parser key "([^"]+)"')
_REQUIRED = re.compile(r"the following arguments are required: ([\w., ]+)")
# The form in which the parser passes on a flag below a class.
_NESTED = re.compile(r"NestedArg\(key='([^']+)', val='?(.*?)'?\)\s*$", re.MULTILINE)
# The part of a message besides the type that helps the user: why an import failed.
_CAUSE = re.compile(r"No module named '[^']+'|module '[^']+' has no attribute '[^']+'|cannot import name '[^']+'[^\n]*")
# OmegaConf's words before a resolver's own error, and before the place where it looked for a missing key.
_RAISED = re.compile(r"^\w+ raised while resolving interpolation: ")
_RESOLVED = re.compile(r"\(resolved to '([^']+)'\)")
_COMMANDS = ("fit", "validate", "test", "predict", "inspect")
# Lines that only introduce the cause.
_NOISE = re.compile(
    r"(- )?(Parser key |Problem with given class_path|Does not validate against|Subtypes: |Errors:|Given value type: "
    r"|Given value: |Expected a <class 'NoneType'>)"
)


def in_one_line(message: str, config: Mapping[str, Any], known: Mapping[str, Setting]) -> str:
    """Return a sentence with the key as a user types it, the allowed values, and the given value.

    Args:
        message: the parser's message.
        config: the whole config, without levels named ``init_args``.
        known: every key that the config may have.
    """
    key = _key(message)
    if found := _REQUIRED.search(message):
        return _required(key, found[1])
    if not key:
        return " ".join(message.split())
    setting = known.get(key)
    if setting is None or not _is_about_type(message):
        return f"{key}: {_reasons(message)}"
    cause = _CAUSE.search(message)
    return must_be(key, setting, value_at(config, key), cause[0] if cause else "")


def interpolation_in_one_line(error: Exception, known: Iterable[str]) -> str:
    """Return the error of a ``${...}`` and the key that has it as value.

    Args:
        error: OmegaConf's error.
        known: every key that the config may have.
    """
    key = _without_structure(str(getattr(error, "full_key", None) or ""))
    text = _RAISED.sub("", str(error).splitlines()[0])
    if found := _RESOLVED.search(text):
        name = _without_structure(found[1])
        text = f"${{{name}}} leads to no key; {did_you_mean(name, known)}"
    return f"{key}: {text}" if key else text


def _without_structure(key: str) -> str:
    """Return a key without the subcommand and without levels named ``init_args``."""
    names = [name for name in key.split(".") if name and name != "init_args"]
    return ".".join(names[1:] if len(names) > 1 and names[0] in _COMMANDS else names)


def _key(message: str) -> str:
    keys = _KEY.findall(message)
    if not keys:
        return ""
    nested = _NESTED.search(message)
    # A flag has the whole key; the parser's own list of keys leaves out names in dictionaries.
    dotted = f"{keys[0]}.{nested[1]}" if nested else ".".join(keys)
    return _without_structure(dotted)


def _required(key: str, names: str) -> str:
    missing = [name.strip().partition(".")[2] or name.strip() for name in names.split(",")]
    if set(missing) <= {"model", "data"}:
        return f"there is no {' and no '.join(missing)}: give a config, such as --config configs/tiny/grpo.yaml."
    full = [f"{key}.{name}" if key else name for name in missing]
    return f"{' and '.join(full)} must be set: {'it has' if len(full) == 1 else 'they have'} no default."


def _is_about_type(message: str) -> bool:
    return any(words in message for words in ("Expected a", "Not a valid", "expects a function", "Import path"))


def _reasons(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip() and not _NOISE.match(line.strip())]
    # Several types may fail for the same reason, which is printed once.
    distinct = dict.fromkeys(line.removeprefix("- ").rstrip(".:") for line in lines)
    text = "; ".join(distinct) or "is not allowed"
    # Internal forms of values, which no user has typed.
    return re.sub(r"(Got value: )?(NestedArg|Namespace)\(.*", "", text).rstrip(" ;.")
