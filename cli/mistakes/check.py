"""Checks a command line before the parser runs, and rewrites the parser's own errors."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

from algorithms import ConfigError, DataError
from cli.given.overlays import check_overlays
from cli.given.places import import_from_here, with_places
from cli.given.renamed import check_renamed
from cli.given.settings import Settings, config_files, flags, value_at
from cli.help.pages import asked_for, first_page, page_of
from cli.keys.chosen import known_keys, whole
from cli.keys.settings import Setting
from cli.mistakes.loggers import check_loggers
from cli.mistakes.parser_messages import in_one_line
from cli.mistakes.unknown_keys import check_keys
from cli.mistakes.words import check_config_names, check_words
from cli.mistakes.yaml_files import check_files

_FIRST_KEY = re.compile(r"[a-z_]\w*(\.\w+)+(?=[ :,])")


@dataclass(frozen=True)
class CommandLine:
    """A command line that has passed the checks before the parser."""

    arguments: list[str]
    """The arguments; configs of the project have their full path."""
    files: list[Settings]
    flags: list[Settings]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Files and flags merged, without levels named ``init_args``."""
        return whole([*self.files, *self.flags])

    @cached_property
    def known(self) -> dict[str, Setting]:
        """Every key that the config may have."""
        return dict(known_keys(self.arguments[0], self.config))

    def in_one_line(self, message: str) -> str:
        """Return an error of the parser as one sentence."""
        return in_one_line(message, self.config, self.known)

    def key_of_value(self, text: str) -> str | None:
        """Return the key with the longest value that begins a text; None if there is none."""
        values = {key: value_at(self.config, key) for key in self.known}
        named = {key: value for key, value in values.items() if isinstance(value, str) and len(value) > 1}
        found = [key for key, value in named.items() if text.startswith(value)]
        return max(found, key=lambda key: len(named[key]), default=None)

    def with_full_key(self, error: ConfigError | DataError) -> ConfigError | DataError:
        """Return an error with the full key, as a user types it.

        A dataclass that several classes use does not know its full key: its error begins with
        ``optimizer.learning_rate``.
        """
        found = _FIRST_KEY.match(text := str(error))
        if found is None or found[0] in self.known:
            return error
        full = [key for key in self.known if key.endswith(f".{found[0]}")]
        kind = DataError if isinstance(error, DataError) else ConfigError
        return kind(f"{full[0]}{text[found.end() :]}") if len(full) == 1 else error


def checked(arguments: Sequence[str], subcommands: Sequence[str]) -> CommandLine:
    """Return a checked command line, or refuse its first mistake, in the order in which a user would look for mistakes.

    Args:
        arguments: the words after ``train.py``.
        subcommands: allowed first words.

    Raises:
        ConfigError: names the typed word, and the nearest or all known words.
    """
    topic = asked_for(arguments)
    if topic is not None and (not arguments or arguments[0].startswith("-")):
        _show(first_page(None))
    check_words(arguments, subcommands)
    if topic == "":
        _show(first_page(arguments[0]))
    import_from_here()
    placed = with_places(arguments)
    line = CommandLine(placed, config_files(placed), flags(placed))
    # Old names come first: every later check would call them unknown.
    check_renamed(line.files, line.flags)
    check_config_names(line.files)
    check_files(line.files)
    check_overlays(line.files)
    # Keys are checked last, because the known keys depend on the classes of all files.
    if placed[0] in subcommands:
        check_keys(placed[0], line.files, line.flags)
        check_loggers(line.config)
    if topic:
        _show(page_of(topic, placed[0], line.config))
    return line


def _show(page: str) -> NoReturn:
    sys.stdout.write(f"{page}\n")
    raise SystemExit(0)
