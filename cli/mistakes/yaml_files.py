"""Refuses config files that are no mapping of keys to settings, and names the file and the line.

The parser's own messages name neither, and for a key that is set twice it silently takes the second value.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from algorithms import ConfigError
from cli.given.settings import Settings, is_name

# Sections that hold further keys.
_SECTIONS = ("trainer", "model", "data", "callbacks")


def check_files(files: Sequence[Settings]) -> None:
    """Refuse files that cannot be read, that are no YAML, that set a key twice, or that hold more than sections.

    Args:
        files: the config files of the command line.

    Raises:
        ConfigError: names the file, the line and the mistake.
    """
    for file in files:
        path = Path(file.source)
        text = _read(file.source) if _is_path(file) else file.source
        where = str(path) if _is_path(file) else "--config"
        _check_text(where, text)


def _is_path(file: Settings) -> bool:
    # A config may be given as YAML text instead of a path.
    return "\n" not in file.source and "{" not in file.source


def _read(source: str) -> str:
    path = Path(source)
    try:
        return path.read_text(encoding="utf-8")
    except IsADirectoryError:
        inside = sorted(str(found) for found in path.glob("*.yaml"))
        hint = f"it holds {', '.join(inside[:4])}" if inside else "it holds no .yaml"
        raise ConfigError(f"--config {source} is a folder, and a config is a file: {hint}.") from None
    except PermissionError:
        raise ConfigError(f"--config {source} cannot be read: no permission for this user.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"--config {source} is no text in UTF-8 (byte {error.start}): a config is a YAML file."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {source} cannot be read: {error}.") from None


def _check_text(where: str, text: str) -> None:
    try:
        yaml.safe_load(text)
        _check_root(where, text, yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_broken(where, text, error)) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is no YAML: {' '.join(str(error).split())}.") from None


def _check_root(where: str, text: str, root: Node | None) -> None:
    if root is None or (isinstance(root, ScalarNode) and not root.value):
        what = "only comments" if text.strip() else "nothing"
        raise ConfigError(f"{where} holds {what}: a config sets keys such as trainer, model, data, callbacks.")
    if not isinstance(root, MappingNode):
        raise ConfigError(
            f"{where}, line {_line(root)}: a config is a mapping such as `trainer: {{max_steps: 100}}`, and this is "
            f"{_kind(root)}."
        )
    _check_keys(where, root, ())
    for key, value in root.value:
        if key.value in _SECTIONS and not isinstance(value, MappingNode):
            _refuse_section(where, key.value, value)


def _refuse_section(where: str, section: str, value: Node) -> None:
    empty = isinstance(value, ScalarNode) and value.tag.endswith(":null")
    if empty and section != "callbacks":
        raise ConfigError(f"{where}, line {_line(value)}: {section} is null; leave the line out, or set keys below it.")
    if isinstance(value, ScalarNode) and section in ("model", "data") and is_name(value.value):
        return  # The short form of class_path.
    if empty:
        raise ConfigError(
            f"{where}, line {_line(value)}: callbacks is null; to switch one off, set its name to null, as in "
            "`callbacks: {completions: null}`."
        )
    example = {
        "callbacks": "callbacks have names, as in `callbacks: {mine: {class_path: my_module.Mine}}`",
        "trainer": "as in `trainer: {max_steps: 100}`",
    }.get(section, f"as in `{section}: {{class_path: ..., init_args: {{...}}}}`")
    raise ConfigError(
        f"{where}, line {_line(value)}: {section} must be a mapping, and this is {_kind(value)}: {example}."
    )


def _check_keys(where: str, node: Node, above: tuple[str, ...]) -> None:
    """Refuse keys that are no text, and keys that occur twice in a mapping."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(where, item, above)
    if not isinstance(node, MappingNode):
        return
    seen: dict[Hashable, int] = {}
    for key, value in node.value:
        name: Any = key.value
        dotted = ".".join((*above, str(name)))
        # Names of reward parts and callbacks may be numbers; keys of a config may not.
        if not above and not key.tag.endswith((":str", ":merge")):
            raise ConfigError(f"{where}, line {_line(key)}: a key is a name, got {name!r}.")
        if key.tag.endswith(":str") and name in seen:
            raise ConfigError(
                f"{where}, line {_line(key)}: {dotted} is set a second time, first in line {seen[name]}: keep one."
            )
        seen[name] = _line(key)
        _check_keys(where, value, (*above, str(name)))


def _broken(where: str, text: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 0
    lines = text.splitlines()
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    problem = " ".join((error.problem or str(error)).split())
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"{where}, line {number}: a tab stands where YAML wants spaces: {line.strip()!r}."
    if "another document" in problem:
        return f"{where}, line {number}: `---` begins a second document, and a config is one."
    # YAML notices an open bracket or quote only at the next line.
    begun = (
        f" (begun in line {error.context_mark.line + 1})" if error.context_mark and error.context_mark != mark else ""
    )
    return f"{where}, line {number}: no YAML: {problem}{begun}{f': {line.strip()!r}' if line.strip() else ''}."


def _line(node: Node) -> int:
    return node.start_mark.line + 1


def _kind(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return f"the text {node.value!r}" + (
            " (a space is missing after the colon)" if ":" in node.value and " " not in node.value else ""
        )
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
