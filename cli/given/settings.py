"""The settings of a command line's config files and flags, read once and before the parser runs.

The parser reads the files again and reports their errors; here a broken file has no settings.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

# A plus after the key appends to a list.
_FLAG = re.compile(r"--([A-Za-z_][\w.]*)\+?(?:=(.*))?", re.DOTALL)
_NOT_SET = object()


@dataclass(frozen=True)
class Settings:
    """The settings of one config file or one flag."""

    source: str
    """The file's path or the flag, as typed."""

    content: dict[str, Any] = field(default_factory=dict)
    """The settings as nested dictionaries."""

    position: int = 0
    """Index of the argument on the command line."""

    first_line: str = ""
    """First line of a file."""

    is_missing: bool = False
    """Whether there is no file at this path."""

    is_broken: bool = False
    """Whether the text is not YAML."""


def config_files(arguments: Sequence[str]) -> list[Settings]:
    """Return the settings of each ``--config``, in the order of the command line."""
    found: list[Settings] = []
    for position, argument in enumerate(arguments):
        if argument.startswith(("--config=", "-c=")):
            found.append(read_config(argument.partition("=")[2], position))
        elif position and arguments[position - 1] in ("--config", "-c"):
            found.append(read_config(argument, position))
    return found


def read_config(source: str, position: int = 0) -> Settings:
    """Return the settings of one config file.

    Args:
        source: path of the file, or YAML text, which the parser accepts too.
        position: index of the argument on the command line.
    """
    try:
        text, is_file = Path(source).read_text(encoding="utf-8"), True
    except (OSError, ValueError):
        # ValueError: bytes that are no UTF-8, or a null character in a path.
        text, is_file = source, False
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return Settings(source, position=position, first_line=text.partition("\n")[0], is_broken=True)
    # Text that is a dictionary is a config without a file; any other text is a path of a missing file.
    is_missing = not is_file and not isinstance(content, dict)
    first_line = text.partition("\n")[0] if is_file else ""
    return Settings(source, content if isinstance(content, dict) else {}, position, first_line, is_missing)


def flags(arguments: Sequence[str]) -> list[Settings]:
    """Return the settings of each flag except ``--config``: ``--a.b=1`` gives ``{"a": {"b": 1}}``."""
    found: list[Settings] = []
    for position, argument in enumerate(arguments):
        match = _FLAG.fullmatch(argument)
        if match is None or match[1] == "config":
            continue
        value = match[2]
        if value is None:
            # Either ``--key value``, or a switch without a value.
            following = arguments[position + 1 : position + 2]
            value = following[0] if following and not following[0].startswith("--") else ""
        # A class alone would replace all settings of its section, but the parser changes only the class.
        key = f"{match[1]}.class_path" if match[1] in ("model", "data") and is_name(value) else match[1]
        found.append(Settings(argument, nested(key, _parsed(value)), position))
    return found


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return a value inside of one dictionary for each part of a dotted key."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def merged(settings: Iterable[Settings]) -> dict[str, Any]:
    """Return several settings laid over each other, the first lowest."""
    result: dict[str, Any] = {}
    for each in settings:
        result = laid_over(result, each.content)
    return result


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge two dictionaries key by key, the first over the second; a new class takes over no settings."""
    # A class named again in its short form is the same class, and keeps its settings.
    if "class_path" in above and "class_path" in below and not _is_same_class(above["class_path"], below["class_path"]):
        return above
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        # When one value is a text and the other holds settings of a class, the text is the short form of class_path.
        if isinstance(value, str) and isinstance(old, dict) and "class_path" in old:
            value = {"class_path": value}
        if isinstance(old, str) and isinstance(value, dict) and "class_path" not in value:
            old = {"class_path": old}
        result[key] = laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def without_init_args(content: Any) -> Any:
    """Return nested settings without the levels named ``init_args``, as error messages write keys."""
    if isinstance(content, list):
        return [without_init_args(item) for item in content]
    if not isinstance(content, dict):
        return content
    inner = content.get("init_args")
    lifted = {key: value for key, value in content.items() if key != "init_args" or not isinstance(inner, dict)}
    lifted |= inner if isinstance(inner, dict) else {}
    return {key: without_init_args(value) for key, value in lifted.items()}


def value_at(content: Any, key: str) -> Any:
    """Return the value at a dotted key, or None. Levels named ``init_args`` are left out of the key."""
    return _find(content, key, default=None)


def is_set(content: Any, key: str) -> bool:
    """Return whether a dotted key is set, also to null. Levels named ``init_args`` are left out of the key."""
    return _find(content, key, default=_NOT_SET) is not _NOT_SET


def texts(content: Any) -> Iterator[str]:
    """Yield every text in nested settings."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from texts(value)


def _find(content: Any, key: str, *, default: Any) -> Any:
    for name in key.split("."):
        section = content if isinstance(content, dict) else {}
        # class_path and init_args are on one level, and the settings of the class are in init_args.
        if name not in section:
            section = section.get("init_args")
        if not isinstance(section, dict) or name not in section:
            return default
        content = section[name]
    return content


def _is_same_class(one: Any, other: Any) -> bool:
    """Return whether two class paths are equal, or one is the short name of the other."""
    shorter, longer = sorted((str(one), str(other)), key=len)
    return longer == shorter or ("." not in shorter and longer.endswith(f".{shorter}"))


def is_name(value: str) -> bool:
    """Return whether a value is the name of a class: the parser reads ``--model=X`` as ``--model.class_path=X``."""
    return all(part.isidentifier() for part in value.split("."))


def _parsed(value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value
