"""Reward parts of several config files, laid over each other part by part.

The parser merges settings key by key but replaces dictionaries, and the parts of a reward are one: an overlay that sets
one weight would drop all other parts. So where several files name parts, their sum is given to the parser once more.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cli.callback_slots import config_files, config_places

_PATH = ("model", "init_args", "reward", "init_args", "parts")


@contextmanager
def with_merged_parts(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Give the arguments, with one more config file where several name reward parts; null takes a part away."""
    given = [parts for path in config_files(arguments) if (parts := _parts(path))]
    if len(given) < 2:
        yield list(arguments)
        return
    merged: dict[str, Any] = {}
    for parts in given:
        merged = _laid_over(merged, parts)
    content: Any = {name: part for name, part in merged.items() if part is not None}
    for key in reversed(_PATH):
        content = {key: content}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reward_parts.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        last = max(config_places(arguments))
        yield [*arguments[: last + 1], f"--config={file}", *arguments[last + 1 :]]


def _parts(path: Path) -> dict[str, Any]:
    """Return the parts that a file names; what is wrong with the file itself is the parser's to say."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return {}
    for key in _PATH:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return one dictionary over another; another class takes nothing over from the one before."""
    if above.get("class_path", below.get("class_path")) != below.get("class_path") and "class_path" in below:
        return above
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
