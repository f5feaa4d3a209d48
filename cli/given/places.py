"""Resolves the paths of a command line, which may be run from any directory.

A config is looked for in the user's current directory, then in the project. All other paths, such as those of data,
models and ``runs/``, are relative to the current directory.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from algorithms import ConfigError

PROJECT = Path(__file__).resolve().parent.parent.parent
"""The folder that holds ``train.py`` and ``configs/``."""


def config_path(source: str) -> str:
    """Return the path of a config: as typed if the file exists, else in the project if it exists there, else as typed.

    >>> config_path("nowhere.yaml")
    'nowhere.yaml'
    """
    try:
        if Path(source).exists() or not (PROJECT / source).is_file():
            return source
    except (OSError, ValueError):
        # YAML text instead of a path can be too long for a path, or hold a null character.
        return source
    return str(PROJECT / source)


def with_places(arguments: Sequence[str]) -> list[str]:
    """Return the arguments; configs of the project get their full path.

    Args:
        arguments: the command line.
    """
    found: list[str] = []
    for position, argument in enumerate(arguments):
        flag, is_joined, value = argument.partition("=")
        if flag in ("--config", "-c") and is_joined:
            found.append(f"{flag}={config_path(value)}")
        elif position and arguments[position - 1] in ("--config", "-c"):
            found.append(config_path(argument))
        else:
            found.append(argument)
    return found


def program() -> str:
    """Return the command line without its arguments, as the user types it: ``python train.py``, with its folder."""
    typed = sys.argv[0]
    return f"python {shlex.quote(typed) if Path(typed).name == 'train.py' else 'train.py'}"


@contextmanager
def writes_to(key: str, path: Path) -> Iterator[None]:
    """Turn an error of writing into a sentence.

    Args:
        key: key of the path on the command line.
        path: the path.

    Raises:
        ConfigError: when the path cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{key} is {path}, where nothing can be written: {error.strerror or error}.") from error


def import_from_here() -> None:
    """Let configs name classes and functions of files in the current directory, which is searched last."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
