"""The classes that a command line chooses for ``model`` and ``data``, found before the parser runs."""

import inspect
from importlib import import_module
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule

from cli.given.settings import value_at

SECTIONS: dict[str, type] = {"model": LightningModule, "data": LightningDataModule}


def class_path(content: dict[str, Any], section: str) -> str:
    """Return the class path of ``model`` or ``data``; empty when none is set."""
    path = value_at(content, f"{section}.class_path")
    return path if isinstance(path, str) else ""


def chosen_class(content: dict[str, Any], section: str) -> type | None:
    """Return the class of ``model`` or ``data``; None when none is set, or when it cannot be imported.

    Args:
        content: the settings as nested dictionaries.
        section: ``model`` or ``data``.
    """
    module, _, name = class_path(content, section).rpartition(".")
    if not module:
        # A short name has no module.
        return next((found for found in _subclasses(SECTIONS[section]) if found.__name__ == name), None)
    try:
        found = getattr(import_module(module), name, None)
    except Exception:
        # A user's module may raise any error. The parser imports it again and reports the error.
        return None
    return found if isinstance(found, type) else None


def parameters(chosen: type) -> set[str]:
    """Return the settings that a class takes: its constructor's, and its bases' where it passes ``**kwargs`` on."""
    names: set[str] = set()
    for owner in chosen.__mro__:
        if "__init__" not in vars(owner):
            continue
        # From the dictionary of the class, because an attribute could be a base's constructor.
        signature = inspect.signature(vars(owner)["__init__"])
        names |= set(signature.parameters)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
            break
    return names


def _subclasses(base: type) -> list[type]:
    """Return all imported subclasses of a class; the parser too looks up short names among them."""
    direct = base.__subclasses__()
    return [*direct, *(found for each in direct for found in _subclasses(each))]
