"""Finds the class that each part of a config chooses, and the keys that this class allows."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningCLI

from cli.given.settings import Settings, merged, without_init_args
from cli.inspection.command import INSPECT, InspectingTrainer
from cli.keys.settings import REQUIRED, Setting, classes_in, is_dataclass, settings_of, subclasses, values_of_mapping

# Keys beside ``init_args``.
STRUCTURE = ("class_path", "init_args", "dict_kwargs")


@dataclass(frozen=True)
class Place:
    """A part of a config that has keys below it."""

    owner: type | None
    """The class whose settings are these keys; None when it is unknown before the parser imports it."""
    settings: Mapping[str, Setting]


def whole(settings: Iterable[Settings]) -> dict[str, Any]:
    """Return config files and flags merged, later ones over earlier ones, without levels named ``init_args``."""
    return merged(replace(each, content=without_init_args(each.content)) for each in settings)


def place_of(setting: Setting, given: Any) -> Place:
    """Return the part of a config that has the keys below a setting.

    Args:
        setting: the setting.
        given: its value in the whole config; a text is the short form of ``class_path``.
    """
    bases = classes_in(setting.annotation)
    path = given.get("class_path") if isinstance(given, dict) else given
    if isinstance(path, str):
        owner = class_named(path, bases)
    elif Trainer in bases:
        owner = Trainer  # a config never chooses the class of its trainer
    elif any(isinstance(setting.default, base) for base in bases):
        owner = type(setting.default)
    else:
        dataclasses = [base for base in bases if is_dataclass(base)]
        # When a setting allows several classes the parser takes the one that fits.
        settings = {name: setting for each in reversed(dataclasses) for name, setting in settings_of(each).items()}
        return Place(dataclasses[0] if dataclasses else None, settings)
    return Place(owner, settings_of(owner) if owner else {})


def class_named(path: str, bases: Iterable[type]) -> type | None:
    """Return the class of an import path or a short name; None when there is none or it cannot be imported."""
    module, _, name = path.rpartition(".")
    if not module:
        return next((found for base in bases for found in subclasses(base) if found.__name__ == name), None)
    try:
        found = getattr(import_module(module), name, None)
    except Exception:
        # A user's module may raise any error. The parser imports it again and reports the error.
        return None
    return found if isinstance(found, type) else None


def top_settings(subcommand: str) -> dict[str, Setting]:
    """Return the settings at the top of a config, except ``callbacks``, whose names the user chooses.

    Args:
        subcommand: ``fit``, ``validate``, ``test``, ``predict`` or ``inspect``, which adds settings of its own such as
            ``ckpt_path``.
    """
    sections = (
        Setting("seed_everything", bool | int, True, "Seed of all that draws from global generators."),
        Setting("trainer", Trainer, REQUIRED, "Steps, devices, precision, logger: Lightning's Trainer."),
        Setting("model", LightningModule, REQUIRED, "What is trained, and how."),
        Setting("data", LightningDataModule, REQUIRED, "What it is trained on."),
    )
    given_by_lightning = (LightningCLI.subcommands() | INSPECT).get(subcommand, set())
    parameters = inspect.signature(getattr(InspectingTrainer, subcommand)).parameters if given_by_lightning else {}
    own = (
        Setting(name, parameter.annotation, parameter.default, "")
        for name, parameter in parameters.items()
        if name not in {*given_by_lightning, "self"}
    )
    return {setting.name: setting for setting in (*sections, *own)}


CALLBACK = Setting("callback", Callback | None, None, "")
"""The setting under a name in ``callbacks``."""


def known_keys(subcommand: str, config: Mapping[str, Any]) -> Iterator[tuple[str, Setting]]:
    """Yield every key that a config may have, with its setting, following the classes that the config chooses.

    Args:
        subcommand: subcommand, whose own settings are included.
        config: the merged config, from ``whole``.
    """
    for name, setting in top_settings(subcommand).items():
        yield from _below(name, setting, config.get(name))
    chosen = config.get("callbacks")
    for name, value in chosen.items() if isinstance(chosen, dict) else ():
        yield from _below(f"callbacks.{name}", CALLBACK, value)


def _below(key: str, setting: Setting, given: Any) -> Iterator[tuple[str, Setting]]:
    yield key, setting
    each = values_of_mapping(setting.annotation)
    if each is not None and isinstance(given, dict) and "class_path" not in given:
        for name, value in given.items():
            yield from _below(f"{key}.{name}", Setting(str(name), each, REQUIRED, ""), value)
        return
    # A setting that is null has no keys below it: only a chosen class or a dataclass has keys.
    if given is None and setting.default is None:
        return
    for name, inner in place_of(setting, given).settings.items():
        yield from _below(f"{key}.{name}", inner, given.get(name) if isinstance(given, dict) else None)
