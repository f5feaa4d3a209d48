"""Callbacks by name: ``callbacks: {completions: {class_path: ..., init_args: {...}}}``.

An overlay can only replace a list of callbacks as a whole. Callbacks by name merge key by key, so an overlay or a flag
can switch one off (``callbacks.completions: null``), change one setting, swap the class, or add a callback under a new
name.
"""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch.callbacks import Callback

from algorithms import ConfigError
from cli.given.settings import Settings

# The names in this project's configs, in the order in which Lightning calls the callbacks. New names follow them.
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


def slot_names(settings: Iterable[Settings]) -> list[str]:
    """Return the known names, then the new ones that config files and flags use, in their order."""
    sections = [each.content.get("callbacks") for each in settings]
    # A name in YAML may be a number, but the parser needs text.
    used = [str(name) for section in sections if isinstance(section, dict) for name in section]
    return list(dict.fromkeys([*KNOWN_SLOTS, *used]))


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
