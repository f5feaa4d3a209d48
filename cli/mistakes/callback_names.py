"""Callback names that exist nowhere."""

from collections.abc import Iterable, Mapping
from typing import Any

from algorithms import ConfigError
from cli.callback_slots import KNOWN_SLOTS
from cli.keys.nearest import did_you_mean


def check_name(name: str, given: Any, chosen: Mapping[str, Any], sources: Iterable[Any], where: str) -> None:
    """Refuse a name for which no file and no flag has a class, also where it is only switched off.

    Args:
        name: the name under ``callbacks``.
        given: what one file or flag gives for it; null switches the callback off.
        chosen: the callbacks of the whole config.
        sources: what any file or flag gives for the name.
        where: end of the message: the file or flag.

    Raises:
        ConfigError: names the nearest name.
    """
    present = chosen.get(name)
    has_class = any(isinstance(value, str) or (isinstance(value, dict) and "class_path" in value) for value in sources)
    # One of the project's names may be switched off in a config that does not have it, so that an overlay can say so.
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
