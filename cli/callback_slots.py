"""Callbacks by name: ``callbacks: {completions: {class_path: ..., init_args: {...}}}``.

A list of callbacks can only be replaced as a whole by an overlay. Named ones merge key by key, so an overlay
or a flag can switch one off (``callbacks.completions: null``), change one setting, swap the class, or add
a callback under a new name.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.callbacks import Callback

from algorithms import ConfigError

# The names the project's own configs use, in the order in which Lightning calls them. New names come after.
KNOWN_SLOTS = (
    "progress",
    "layout",
    "completions",
    "hallucination",
    "calibrator",
    "predictions",
    "pairs",
    "pool",
    "random_state",
    "checkpoint",
    "export",
)

_FLAG = re.compile(r"--callbacks\.([A-Za-z_]\w*)")


def slot_names(arguments: Sequence[str]) -> list[str]:
    """Return the known names, then the new ones that the config files and flags of a command line use."""
    names: list[str] = list(KNOWN_SLOTS)
    for path in config_files(arguments):
        for name in _configured(path):
            if name not in names:
                names.append(name)
    for argument in arguments:
        if (match := _FLAG.match(argument)) and match.group(1) not in names:
            names.append(match.group(1))
    return names


def config_files(arguments: Sequence[str]) -> list[Path]:
    """Return the files given by ``--config``, in their order."""
    return [path for path in config_places(arguments).values() if path.is_file()]


def config_places(arguments: Sequence[str]) -> dict[int, Path]:
    """Return the file of each argument that names one."""
    places: dict[int, Path] = {}
    for place, argument in enumerate(arguments):
        if argument.startswith(("--config=", "-c=")):
            places[place] = Path(argument.partition("=")[2])
        elif place and arguments[place - 1] in ("--config", "-c"):
            places[place] = Path(argument)
    return places


def named_callbacks(configured: dict[str, Any]) -> list[Callback]:
    """Return the instantiated callbacks that are switched on, in slot order.

    Raises:
        ConfigError: when settings were given for a name that has no class.
    """
    for name, callback in configured.items():
        if callback is not None and not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks.{name} has settings but no class_path, so there is nothing to set: known names are "
                f"{', '.join(KNOWN_SLOTS)}; a new name needs a class_path."
            )
    return [callback for callback in configured.values() if callback is not None]


def _configured(path: Path) -> list[str]:
    """Return the callback names of one file; what is wrong with the file itself is the parser's to say."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return []
    section = content.get("callbacks") if isinstance(content, dict) else None
    return [str(name) for name in section] if isinstance(section, dict) else []
