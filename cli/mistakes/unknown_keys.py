"""Refuses keys that do not exist, and names the nearest existing key.

The parser reports most of these keys too, but as one of many types that did not fit, without file and suggestion. Here
each config file and flag is checked separately, so the message names the file. The known keys below a key depend on the
classes that all files and flags choose together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from algorithms import ConfigError
from cli.callback_slots import KNOWN_SLOTS
from cli.given.settings import Settings, value_at, without_init_args
from cli.keys.chosen import CALLBACK, STRUCTURE, known_keys, place_of, top_settings, whole
from cli.keys.nearest import did_you_mean, nearest
from cli.keys.settings import (
    REQUIRED,
    Setting,
    classes_in,
    is_open,
    settings_of,
    shortest_path,
    subclasses,
    values_of_mapping,
)
from cli.mistakes.callback_names import check_name
from cli.mistakes.classes import check_class
from cli.mistakes.ranges import check_number
from cli.mistakes.synonyms import SYNONYMS
from cli.mistakes.wrong_types import check_type

# Flags of the parser itself.
_PARSERS = ("config", "print_config", "help")
_SHOWN = 3  # classes
# A key at another place is suggested only if its likeness to the typed key is at least this.
_LIKE_ELSEWHERE = 0.85


def check_keys(subcommand: str, files: Sequence[Settings], flags: Sequence[Settings]) -> None:
    """Refuse unknown keys, callback names, reward parts and classes, and numbers that are not finite.

    Args:
        subcommand: subcommand, whose own settings are known too.
        files: the config files of the command line.
        flags: its other flags.

    Raises:
        ConfigError: names key, value, the nearest or all known names, and the file.
    """
    everything = [*files, *flags]
    contents = [without_init_args(each.content) for each in everything]
    whole_config = whole(everything)
    # The message about a flag already begins with its key.
    places = [f" (in {file.source})" for file in files] + [""] * len(flags)
    sources = [
        # A later file may choose another class, which does not have the keys of this file.
        _Source(place, subcommand, whole(everything[:end]), whole_config, contents)
        for end, place in enumerate(places, start=1)
    ]
    for source, content in zip(sources, contents, strict=True):
        source.check(content, keys=False)
    for source, content in zip(sources, contents, strict=True):
        source.check(content, keys=True)


@dataclass
class _Source:
    """One config file or flag, with the files below it."""

    where: str
    subcommand: str
    config: dict[str, Any]
    """This file and all files before it, merged."""
    whole_config: dict[str, Any]
    contents: list[dict[str, Any]]
    """The settings of each file and each flag."""
    keys: bool = True
    """Whether keys are checked, or only classes: a wrong class is reported before a wrong key."""

    def check(self, content: dict[str, Any], *, keys: bool) -> None:
        self.keys = keys
        top = top_settings(self.subcommand)
        for name, value in content.items():
            if name in _PARSERS:
                continue
            if name == "callbacks":
                self._callbacks(value)
            elif name in top:
                self._value(top[name], value, self.config.get(name), name)
            elif keys:
                self._refuse(name, name, [*top, "callbacks"], "")

    def _callbacks(self, given: Any) -> None:
        if not isinstance(given, dict):
            raise ConfigError(
                f"callbacks must be a mapping of names to callbacks, got {given}: give them names, as in "
                f"--callbacks.mine=my_module.Mine{self.where}."
            )
        # Another file or flag may have a value that is no mapping; it is refused there.
        chosen, present = (
            found if isinstance(found := config.get("callbacks"), dict) else {}
            for config in (self.whole_config, self.config)
        )
        # --print_config writes every known name, so a callback that was switched off has only the value null.
        is_printed = set(KNOWN_SLOTS) <= set(given)
        for name, value in given.items():
            if name != "help" and not (is_printed and value is None):
                check_name(str(name), value, chosen, self._given_for(f"callbacks.{name}"), self.where)
                self._value(CALLBACK, value, present.get(name), f"callbacks.{name}")

    def _value(self, setting: Setting, given: Any, chosen: Any, key: str) -> None:
        """Check the given value of a setting, which has the value ``chosen`` in the merged config."""
        if self.keys:
            check_type(setting, given, key, self.where)
            check_number(setting, key, given, self.where)
        if isinstance(given, list):
            for item in given:
                if isinstance(item, dict):
                    self._value(setting, item, item, key)
                elif self.keys:
                    check_number(setting, key, item, self.where)
        elif isinstance(given, str):
            self._class(setting, given, key, is_short=True)
        elif isinstance(given, dict):
            if isinstance(path := given.get("class_path"), str):
                self._class(setting, path, key, is_short=False)
            self._below(setting, given, chosen if isinstance(chosen, dict) else {"class_path": chosen}, key)

    def _class(self, setting: Setting, path: str, key: str, *, is_short: bool) -> None:
        if not self.keys:
            check_class(setting, path, key, self.where, is_short=is_short)

    def _below(self, setting: Setting, given: dict[str, Any], chosen: dict[str, Any], key: str) -> None:
        each = values_of_mapping(setting.annotation)
        if each is not None and not chosen.get("class_path"):
            self._entries(Setting("", each, REQUIRED, ""), given, chosen, key)
            return
        owner, settings = (place := place_of(setting, chosen)).owner, place.settings
        # Unknown class, or a mapping with keys of any name: the parser checks what is below.
        if owner is None or is_open(setting.annotation):
            return
        for typed, value in given.items():
            # A plus at the end of a key appends to a list.
            name = str(typed).removesuffix("+")
            if name in (*STRUCTURE, "help"):
                continue
            if name not in settings and self.keys:
                self._check_other_class(setting, key, name, owner)
                self._refuse(f"{key}.{name}", name, (f"{key}.{known}" for known in settings), f" of {owner.__name__}")
            if name not in settings:
                continue
            self._value(settings[name], value, chosen.get(name), f"{key}.{name}")

    def _entries(self, entry: Setting, given: dict[str, Any], chosen: dict[str, Any], key: str) -> None:
        """Check a mapping whose names the user chooses; an entry without the required keys is a mistyped name."""
        owner = next(iter(classes_in(entry.annotation)), None)
        needed = [s.name for s in settings_of(owner).values() if s.default is REQUIRED] if owner else []
        for name, value in given.items():
            present = chosen.get(name)
            missing = [need for need in needed if isinstance(present, dict) and need not in present]
            # Null removes an entry of another file.
            removes_nothing = bool(needed) and value is None and not self._given_for(f"{key}.{name}")
            if missing or removes_nothing:
                others = [str(other) for other, value in chosen.items() if other != name and value is not None]
                needs = f", and a new one needs {' and '.join(missing)}" if missing else ""
                raise ConfigError(
                    f"{key}.{name} is not there yet{needs}: {did_you_mean(str(name), others)}{self.where}"
                )
            if value is not None:
                self._value(entry, value, present, f"{key}.{name}")

    def _given_for(self, key: str) -> list[Any]:
        """Return all values of a key in files and flags, except null."""
        values = (value_at(content, key) for content in self.contents)
        return [value for value in values if value is not None]

    def _check_other_class(self, setting: Setting, key: str, name: str, owner: type) -> None:
        """Refuse a setting that belongs to another class that the config could choose here."""
        could_stand = {each for base in classes_in(setting.annotation) for each in subclasses(base)} - {owner}
        having = sorted((each for each in could_stand if name in settings_of(each)), key=_general_first)
        if having:
            names = ", ".join(each.__name__ for each in having[:_SHOWN]) + (" ..." if len(having) > _SHOWN else "")
            raise ConfigError(
                f"{key}.{name} is no setting of {owner.__name__}, but of {names}: "
                f"choose the class first, as in --{key}={shortest_path(having[0])}{self.where}."
            )

    def _refuse(self, key: str, name: str, known: Iterable[str], owner: str) -> None:
        siblings = {full.rpartition(".")[2]: full for full in known}
        everything = [key for key, _ in known_keys(self.subcommand, self.whole_config)]
        elsewhere = {key.rpartition(".")[2]: key for key in reversed(everything)}
        # Order of suggestions: the same name or a synonym at another place, a similar name here, a similar name
        # elsewhere.
        meant = elsewhere.get(name) or elsewhere.get(SYNONYMS.get(name, ""))
        if meant is None and (found := nearest(name, siblings)):
            meant = siblings[found]
        if meant is None and (found := nearest(name, elsewhere, least=_LIKE_ELSEWHERE)):
            meant = elsewhere[found]
        hint = f"did you mean {meant}?" if meant else did_you_mean(name, siblings) or "it has none."
        raise ConfigError(f"{key} is no setting{owner}: {hint}{self.where}")


def _general_first(owner: type) -> tuple[int, str]:
    return len(owner.__mro__), owner.__name__
