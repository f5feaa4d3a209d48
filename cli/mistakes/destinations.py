"""Places that a config names to read from or to write to, looked at before anything takes minutes."""

from collections.abc import Collection
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from cli.callback_slots import named_callbacks
from cli.mistakes.libraries import check_constructors
from cli.mistakes.sizes import check_sizes

_COMMANDS = ("fit", "validate", "test", "predict")


def check_made(parser: ArgumentParser, config: Namespace, command: str, *, to_build: Collection[Path]) -> None:
    """Make the objects of a config once, and let those look at their places that have ``check_places(command)``.

    Args:
        parser: has read the config.
        config: as read; it stays as it is.
        command: its section; only commands that run have places.
        to_build: folders that do not exist yet: what is said about them does not count.

    Raises:
        ConfigError: as a constructor raises it; or for a place, with key and reason.
        DataError: likewise.
    """

    def look() -> None:
        made = parser.instantiate_classes(config)[command]
        if command not in _COMMANDS:
            return
        check_sizes(made.model, made.get("data"), command=command, warns=False)
        for part in (made.get("data"), *named_callbacks(made.callbacks.as_dict())):
            if hasattr(part, "check_places"):
                part.check_places(command)

    check_constructors(look, to_build=to_build)
