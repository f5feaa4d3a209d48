"""Overlays: config files that change some keys of the configs below them. Their first line names those configs.

    # Lies over: GRPOModule                                                 model.class_path ends with this name
    # Lies over: MPOModule on OnlinePreferenceDataModule                    and data.class_path with that one
    # Lies over: GRPOModule with model.reward.parts.preference              and this key is set, not to null
    # Lies over: GRPOModule with callbacks.calibrator and model.reference   and both keys are set
    # Lies over: GRPOModule, MPOModule                                      one of several
    # Lies over: any config

A subclass is accepted where its base is named. Keys are written without ``init_args``. A file without such a line is a
whole config. The configs below an overlay are the ``--config`` files before it on the command line, laid over each
other key by key.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from algorithms import ConfigError
from cli.given.chosen_classes import chosen_class, class_path
from cli.given.settings import Settings, laid_over, value_at

_LINE = re.compile(r"#\s*Lies over:(.*)")
# Module, data module, keys.
_BASE = re.compile(r"(any config|\w+)(?: on (\w+))?(?: with ([\w.]+(?: and [\w.]+)*))?")


@dataclass(frozen=True)
class Base:
    """One alternative of an overlay's first line: the classes of the configs below it. None stands for any class."""

    model: str | None
    data: str | None
    keys: tuple[str, ...]

    def accepts(self, below: dict[str, Any]) -> bool:
        """Return whether the overlay may lie over the merged configs below it."""
        return _is_class(below, "model", self.model) and _is_class(below, "data", self.data) and not self.missing(below)

    def missing(self, below: dict[str, Any]) -> list[str]:
        """Return the keys that the line names and that the configs below leave out or set to null."""
        return [key for key in self.keys if value_at(below, key) is None]


def check_overlays(files: Sequence[Settings]) -> None:
    """Refuse an overlay that lies over a config for which it was not made.

    Args:
        files: the config files of the command line, in its order.

    Raises:
        ConfigError: names the overlay, the configs for which it was made and the config below it; or the second of two
            whole configs.
    """
    below: dict[str, Any] = {}
    for number, file in enumerate(files):
        # The settings of such a file are unknown, and the parser reports its error.
        if file.is_missing or file.is_broken:
            return
        bases = bases_of(file)
        # There is no config below the first file, so even "any config" refuses.
        if bases and not (number and any(base.accepts(below) for base in bases)):
            raise ConfigError(_refusal(file, bases, below, [each.source for each in files[:number]]))
        # Keys of two whole configs would be mixed, although no one meant to combine them.
        if not bases and _is_whole(file.content) and _is_whole(below):
            raise ConfigError(
                f"{file.source} is a whole config, with a model and data of its own, and so is what is below it "
                f"({' + '.join(each.source for each in files[:number])}): give one of them. A file that changes some "
                "keys of another begins with a line such as '# Lies over: any config'."
            )
        below = laid_over(below, file.content)


def bases_of(file: Settings) -> list[Base]:
    """Return the alternatives in a file's first line, an empty list for a whole config.

    Raises:
        ConfigError: when the first line begins as an overlay's and goes on otherwise.
    """
    line = _LINE.fullmatch(file.first_line.strip())
    if line is None:
        return []
    found: list[Base] = []
    for alternative in line[1].split(","):
        match = _BASE.fullmatch(alternative.strip())
        if match is None:
            raise ConfigError(
                f"{file.source} begins with {file.first_line!r}, where {alternative.strip()!r} is none of: any config, "
                "MODULE, MODULE on DATA_MODULE, each of them with KEY and KEY."
            )
        # "any config" leaves both classes open.
        model = None if match[1] == "any config" else match[1]
        found.append(Base(model, match[2], tuple(match[3].split(" and ")) if match[3] else ()))
    return found


def _is_whole(content: dict[str, Any]) -> bool:
    return bool(class_path(content, "model") and class_path(content, "data"))


def _refusal(file: Settings, bases: list[Base], below: dict[str, Any], names: list[str]) -> str:
    allowed = file.first_line.partition("Lies over:")[2].strip()
    if not names:
        return f"{file.source} lies over {allowed}, and nothing is below it: give --config of what it changes first."
    model, data = (class_path(below, section).rpartition(".")[2] for section in ("model", "data"))
    found = f"{model or 'no model'} on {data or 'no data'}"
    if missing := dict.fromkeys(key for base in bases for key in base.missing(below)):
        found += f" without {' and '.join(missing)}"
    return f"{file.source} lies over {allowed}, and below it is {found} ({' + '.join(names)})."


def _is_class(below: dict[str, Any], section: str, name: str | None) -> bool:
    """Return whether ``model`` or ``data`` below is of the named class or a subclass of it."""
    path = class_path(below, section)
    if name is None or path.rpartition(".")[2] == name:
        return True
    chosen = chosen_class(below, section)
    if chosen is None:
        # The parser reports a class that cannot be imported.
        return bool(path)
    return any(base.__name__ == name for base in chosen.__mro__)
