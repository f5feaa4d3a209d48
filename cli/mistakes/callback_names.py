"""Refuses callback names that do not exist."""

from collections.abc import Iterable, Mapping
from typing import Any

from algorithms import ConfigError
from cli.callback_slots import KNOWN_SLOTS
from cli.keys.nearest import did_you_mean


def check_name(name: str, given: Any, chosen: Mapping[str, Any], sources: Iterable[Any], where: str) -> None:
    """Refuse a name for which no file and no flag sets a class, also when it is only switched off.

    Args:
        name: the name under ``callbacks``.
        given: value for this name in one file or flag; null switches the callback off.
        chosen: the callbacks of the whole config.
        sources: values for this name in all files and flags.
        where: end of the message: the file or flag.

    Raises:
        ConfigError: names the nearest name.
    """
    present = chosen.get(name)
    has_class = any(isinstance(value, str) or (isinstance(value, dict) and "class_path" in value) for value in sources)
    # A name of the project may be switched off also in a config without it, so that overlays can switch it off.
    if has_class or (present is None and name in KNOWN_SLOTS):
        return
    if name in KNOWN_SLOTS:
        raise ConfigError(
            f"callbacks.{name} has settings but no class_path, so there is nothing to set: give the class first, as in "
            f"--callbacks.{name}=CLASS{where}."
        )
    known = [*KNOWN_SLOTS, *(str(other) for other, value in chosen.items() if value is not None and other != name)]
    what = "is null" if given is None else "has settings but no class_path"
    raise ConfigError(
        f"callbacks.{name} {what}, and there is no callback of this name: {did_you_mean(name, known)}{where}"
    )
